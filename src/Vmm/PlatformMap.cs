namespace Vmm;

/// <summary>
/// Where everything of the guest's platform lies: ports, windows, interrupt lines, fixed memory. The only place that
/// knows.
/// </summary>
/// <remarks>
/// A machine in the manner of QEMU's <c>microvm</c>: ISA ports at their PC addresses, ACPI registers and virtio windows
/// in the hole below 4 GiB, tables below 1 MiB. Lines are GSIs; IOAPIC pin and GSI are the same number.
/// </remarks>
public static class PlatformMap
{
    /// <summary>First port of the console's 8250, eight ports.</summary>
    public const ushort Com1Port = 0x3F8;
    /// <summary>The console's line.</summary>
    public const uint Com1Gsi = 4;
    /// <summary>First port of the guest channel's 8250, eight ports.</summary>
    public const ushort Com2Port = 0x2F8;
    /// <summary>The guest channel's line.</summary>
    public const uint Com2Gsi = 3;
    /// <summary>Ports of an 8250.</summary>
    public const byte SerialPorts = 8;

    /// <summary>First of the two ports of the clock and its CMOS memory: index, data.</summary>
    public const ushort CmosPort = 0x70;
    /// <summary>Ports of the clock.</summary>
    public const byte CmosPorts = 2;
    /// <summary>First port of the keyboard controller: data at 0x60, status and command at 0x64.</summary>
    public const ushort I8042Port = 0x60;
    /// <summary>Ports from the keyboard controller's data port to its command port.</summary>
    public const byte I8042Ports = 5;
    /// <summary>System control port A: fast reset and A20.</summary>
    public const ushort SystemControlPort = 0x92;
    /// <summary>The chipset's reset control register.</summary>
    public const ushort ResetControlPort = 0xCF9;

    /// <summary>First port of the firmware configuration device.</summary>
    public const ushort FwCfgPort = 0x510;

    /// <summary>Start of the ACPI registers' window.</summary>
    public const ulong AcpiBase = 0xFEA0_0000;
    /// <summary>Size of the ACPI registers' window, bytes.</summary>
    public const ulong AcpiSize = 0x1000;
    /// <summary>Offset of the event selector in the ACPI window: 32 bits, reading takes the events.</summary>
    public const ulong AcpiEventOffset = 0x000;
    /// <summary>Offset of the sleep control register in the ACPI window: 8 bits (ACPI 6.4 §4.8.3.7).</summary>
    public const ulong AcpiSleepControlOffset = 0x200;
    /// <summary>Offset of the sleep status register in the ACPI window: 8 bits (ACPI 6.4 §4.8.3.7).</summary>
    public const ulong AcpiSleepStatusOffset = 0x201;
    /// <summary>Offset of the reset register in the ACPI window: 8 bits (ACPI 6.4 §4.8.3.6).</summary>
    public const ulong AcpiResetOffset = 0x202;
    /// <summary>What the guest writes to the reset register to be reset.</summary>
    public const byte AcpiResetValue = 0x42;
    /// <summary>SLP_TYP of S5, soft off.</summary>
    public const byte AcpiSleepTypeS5 = 5;
    /// <summary>Bit of the event selector: the power button was pressed.</summary>
    public const uint AcpiPowerButtonEvent = 0x2;
    /// <summary>The generic event device's line.</summary>
    public const uint AcpiGsi = 9;

    /// <summary>
    /// Start of the first virtio-mmio window; window n follows n × <see cref="VirtioSize"/> behind it.
    /// </summary>
    public const ulong VirtioBase = 0xFEB0_0000;
    /// <summary>Size of a virtio-mmio window, bytes.</summary>
    public const ulong VirtioSize = 0x200;
    /// <summary>Line of the first virtio device; device n has this plus n.</summary>
    public const uint VirtioFirstGsi = 16;
    /// <summary>At most this many virtio devices: the IOAPIC's lines 16 to 23.</summary>
    public const int VirtioMaxDevices = 8;

    /// <summary>Address of the IOAPIC, which KVM implements.</summary>
    public const uint IoApicBase = 0xFEC0_0000;
    /// <summary>Address of the local APICs, which KVM implements.</summary>
    public const uint LocalApicBase = 0xFEE0_0000;

    /// <summary>Start of the extended BIOS data area: conventional memory ends here.</summary>
    public const ulong EbdaStart = 0x9_FC00;
    /// <summary>End of conventional memory and of the EBDA.</summary>
    public const ulong LowMemoryEnd = 0xA_0000;
    /// <summary>
    /// Start of the ACPI tables: the RSDP is the first thing here, where a guest that scans for it looks.
    /// </summary>
    public const ulong AcpiTablesStart = 0xE_0000;
    /// <summary>End of the area for ACPI tables (or firmware): 1 MiB.</summary>
    public const ulong AcpiTablesEnd = 0x10_0000;
    /// <summary>Firmware lies here at the lowest; then it places the tables.</summary>
    public const ulong FirmwareStart = 0xE_0000;
    /// <summary>Firmware ends here.</summary>
    public const ulong FirmwareEnd = 0x10_0000;
    /// <summary>What KVM needs of the device hole on Intel processors: an identity map's page and a TSS's three.</summary>
    public const ulong KvmPagesStart = 0xFEFF_C000;
    /// <summary>Bytes of that.</summary>
    public const ulong KvmPagesSize = 0x4000;

    /// <summary>Start of a virtio device's window.</summary>
    /// <param name="index">The device, from 0.</param>
    public static ulong VirtioWindow(int index) => VirtioBase + ((ulong)index * VirtioSize);

    /// <summary>A virtio device's line.</summary>
    /// <param name="index">The device, from 0.</param>
    public static uint VirtioGsi(int index) => VirtioFirstGsi + (uint)index;
}
