using Virtio;
using Vmm.Devices;

namespace Vmm.Machines;

/// <summary>Everything a machine is, apart from its memory and disks. Plain data: it can be loaded into another machine, here or in another process.</summary>
public sealed class MachineState
{
    /// <summary>Which layout this program writes and reads. Counts up with every change; see docs/state.md.</summary>
    public const int CurrentVersion = 1;

    /// <summary>The layout this state has.</summary>
    public int Version { get; init; } = CurrentVersion;
    /// <summary>Interrupt controllers, timer, clock.</summary>
    public required VmState Vm { get; init; }
    /// <summary>The vCPUs, by number.</summary>
    public required VcpuState[] Vcpus { get; init; }
    /// <summary>Console port.</summary>
    public required Serial8250State Console { get; set; }
    /// <summary>Guest channel port.</summary>
    public required Serial8250State Channel { get; set; }
    /// <summary>Real-time clock.</summary>
    public required CmosState Cmos { get; set; }
    /// <summary>Keyboard controller.</summary>
    public required I8042State I8042 { get; set; }
    /// <summary>System control port A.</summary>
    public required ResetRegisterState ControlA { get; set; }
    /// <summary>The chipset's reset control register.</summary>
    public required ResetRegisterState Chipset { get; set; }
    /// <summary>Power button.</summary>
    public required AcpiDeviceState Acpi { get; set; }
    /// <summary>Firmware configuration.</summary>
    public required FwCfgState FwCfg { get; set; }
    /// <summary>virtio devices, in order.</summary>
    public required VirtioTransportState[] Disks { get; init; }

    internal static InvalidDataException WrongVersion(int version) =>
        new($"the machine state has version {version}, and this bgkvm uses version {CurrentVersion}");
}
