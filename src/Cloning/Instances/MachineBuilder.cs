using Cloning.Disks;
using CowMemory;
using Kvm.Interop;
using VirtioBlk;
using VirtioBlk.Turns;
using Vmm.Boot;
using Vmm.Machines;

namespace Cloning.Instances;

/// <summary>Builds the machines of an instance: all of them alike, so that the state of one can be loaded into another.</summary>
public static class MachineBuilder
{
    /// <summary>Guest memory in bytes.</summary>
    public static ulong MemoryBytes(InstanceConfig config) => (ulong)config.MemoryMiB << 20;

    /// <summary>What the instance boots.</summary>
    public static BootSource BootSource(InstanceConfig config) => config.Firmware is { } firmware
        ? new FirmwareBootConfig(firmware)
        : new LinuxBootConfig(config.Kernel!, config.Initrd, config.CommandLine);

    /// <summary>Stand-ins for the persistent disks, as a shadow's new OS sees them.</summary>
    public static IReadOnlyList<IBlockBackend> Sealed(InstanceConfig config) =>
        [.. config.PersistentDisks.Select(_ => new SealedDisk())];

    /// <summary>Builds a machine; paused, empty.</summary>
    /// <param name="host">The host's KVM.</param>
    /// <param name="config">The instance.</param>
    /// <param name="file">Memory; owned by the machine from now on.</param>
    /// <param name="view">How to map it.</param>
    /// <param name="system">The system disks.</param>
    /// <param name="persistent">What stands for the persistent disks.</param>
    /// <param name="console">Takes the guest's output, on both its serial ports.</param>
    /// <param name="turns">Whose turn it is on the host's disks.</param>
    /// <exception cref="LibcException">The host refused something.</exception>
    public static Machine Build(
        KvmHost host,
        InstanceConfig config,
        MemoryFile file,
        MemoryView view,
        IReadOnlyList<SystemDisk> system,
        IReadOnlyList<IBlockBackend> persistent,
        ConsoleHub console,
        IDiskTurns turns)
    {
        List<DiskSlot> slots = [];
        int systems = 0, persistents = 0;
        foreach (DiskConfig disk in config.Disks)
        {
            slots.Add(disk.Persistent
                ? new DiskSlot(persistent[persistents], $"persistent{persistents++}", turns)
                : new DiskSlot(system[systems].Device, $"system{systems++}", turns));
        }

        return new Machine(host, new MachineSpec(config.Cpus, slots, console, console.Channel), file, view);
    }
}
