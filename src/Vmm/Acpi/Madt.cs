using System.Buffers.Binary;

namespace Vmm.Acpi;

/// <summary>The MADT (ACPI 6.4 §5.2.12): processors and interrupt controllers.</summary>
internal static class Madt
{
    private const byte Revision = 5;
    private const uint HasLegacyPics = 1;
    private const ushort ActiveHighEdge = 0x0005;

    public static byte[] Build(int cpus)
    {
        List<byte> content = [.. UInt32(PlatformMap.LocalApicBase), .. UInt32(HasLegacyPics)];
        for (int id = 0; id < cpus; id++) content.AddRange([0, 8, (byte)id, (byte)id, .. UInt32(1)]);
        content.AddRange([1, 12, 0, 0, .. UInt32(PlatformMap.IoApicBase), .. UInt32(0)]);
        // ISA IRQs are the GSIs of the same number, the timer's too: KVM's default routing has the PIT on pin 0 of the
        // IOAPIC. A PC's IRQ 9 is level-triggered; here it is the generic event device's edge.
        content.AddRange(Override(irq: (byte)PlatformMap.AcpiGsi, PlatformMap.AcpiGsi, ActiveHighEdge));
        content.AddRange([4, 6, 0xFF, 0, 0, 1]); // NMI: all processors, bus default, LINT 1
        return AcpiTable.Build("APIC", Revision, [.. content]);
    }

    private static byte[] Override(byte irq, uint gsi, ushort flags) =>
        [2, 10, 0, irq, .. UInt32(gsi), (byte)flags, (byte)(flags >> 8)];

    private static byte[] UInt32(uint value)
    {
        byte[] bytes = new byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, value);
        return bytes;
    }
}
