using static Vmm.Acpi.Aml;

namespace Vmm.Acpi;

/// <summary>The DSDT: the devices a guest cannot find by itself.</summary>
internal static class Dsdt
{
    private const byte RevisionWith64BitIntegers = 2;

    public static byte[] Build(int virtioDevices)
    {
        List<byte[]> devices =
        [
            Serial("COM1", 1, PlatformMap.Com1Port, PlatformMap.Com1Gsi),
            Serial("COM2", 2, PlatformMap.Com2Port, PlatformMap.Com2Gsi),
            Clock(),
            PowerButton(),
            EventDevice(),
        ];
        for (int i = 0; i < virtioDevices; i++) devices.Add(VirtioMmio(i));

        byte[] softOff = Name("\\_S5", PackageOf(Integer(PlatformMap.AcpiSleepTypeS5), Zero, Zero, Zero));
        return AcpiTable.Build("DSDT", RevisionWith64BitIntegers, [.. Scope("\\_SB", [.. devices]), .. softOff]);
    }

    private static byte[] Serial(string name, ulong uid, ushort port, uint line) => Device(name,
        Name("_HID", EisaId("PNP0501")),
        Name("_UID", Integer(uid)),
        Name("_CRS", Resources(Ports(port, PlatformMap.SerialPorts), Irq((int)line))));

    // No interrupt: the clock tells the time and has no alarms, and Linux then says so instead of waiting for one.
    private static byte[] Clock() => Device("RTC",
        Name("_HID", EisaId("PNP0B00")),
        Name("_CRS", Resources(Ports(PlatformMap.CmosPort, PlatformMap.CmosPorts))));

    private static byte[] PowerButton() => Device("PWRB",
        Name("_HID", EisaId("PNP0C0C")),
        Name("_UID", Zero));

    // The generic event device (ACPI 6.4 §5.6.9): its interrupt makes the guest run _EVT, which asks our selector what
    // happened.
    private static byte[] EventDevice() => Device("GED",
        Name("_HID", String("ACPI0013")),
        Name("_UID", Zero),
        Name("_CRS", Resources(EdgeInterrupt(PlatformMap.AcpiGsi))),
        MemoryRegion("EREG", PlatformMap.AcpiBase + PlatformMap.AcpiEventOffset, 4),
        DwordField("EREG", "ESEL", 32),
        Method("_EVT", 1,
            Store(Path("ESEL"), Local0),
            If(And(Local0, Integer(PlatformMap.AcpiPowerButtonEvent)), Notify("PWRB", 0x80))));

    private static byte[] VirtioMmio(int index) => Device($"VR{index:D2}",
        Name("_HID", String("LNRO0005")),
        Name("_UID", Integer((ulong)index)),
        Name("_CCA", Integer(1)),
        Name("_CRS", Resources(
            Memory32Fixed((uint)PlatformMap.VirtioWindow(index), (uint)PlatformMap.VirtioSize),
            EdgeInterrupt(PlatformMap.VirtioGsi(index)))));
}
