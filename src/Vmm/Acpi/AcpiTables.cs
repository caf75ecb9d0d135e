using System.Buffers.Binary;
using CowMemory;

namespace Vmm.Acpi;

/// <summary>Builds a machine's ACPI tables into guest memory.</summary>
public static class AcpiTables
{
    private const int RsdpSize = 36;
    private const int Alignment = 16;

    /// <summary>
    /// Writes RSDP, DSDT, FADT, MADT and XSDT to the area below 1 MiB that the memory map reserves for them.
    /// </summary>
    /// <param name="description">The machine.</param>
    /// <param name="memory">Its memory, of at least 1 MiB.</param>
    /// <returns>The RSDP's address, for boot_params. A guest that scans for it finds it too.</returns>
    /// <exception cref="ArgumentOutOfRangeException">More processors or devices than the platform has.</exception>
    public static Gpa Build(AcpiDescription description, GuestMemory memory)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(description.CpuCount, 1, nameof(description));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(description.CpuCount, 254, nameof(description));
        ArgumentOutOfRangeException.ThrowIfNegative(description.VirtioDeviceCount, nameof(description));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(
            description.VirtioDeviceCount, PlatformMap.VirtioMaxDevices, nameof(description));

        Gpa rsdp = new(PlatformMap.AcpiTablesStart);
        Gpa next = rsdp + Align(RsdpSize);
        Gpa Place(byte[] table)
        {
            Gpa place = next;
            table.CopyTo(memory.Write(place, table.Length));
            next += Align(table.Length);
            return place;
        }

        Gpa fadt = Place(Fadt.Build(Place(Dsdt.Build(description.VirtioDeviceCount))));
        Gpa madt = Place(Madt.Build(description.CpuCount));
        Gpa xsdt = Place(Xsdt(fadt, madt));
        Rsdp(xsdt).CopyTo(memory.Write(rsdp, RsdpSize));
        return rsdp;
    }

    private static ulong Align(int length) => (ulong)((length + Alignment - 1) & -Alignment);

    private static byte[] Xsdt(params ReadOnlySpan<Gpa> tables)
    {
        byte[] content = new byte[tables.Length * 8];
        for (int i = 0; i < tables.Length; i++)
            BinaryPrimitives.WriteUInt64LittleEndian(content.AsSpan(i * 8), tables[i].Value);
        return AcpiTable.Build("XSDT", 1, content);
    }

    /// <summary>
    /// ACPI 6.4 §5.2.5.3. No RSDT: nothing that lacks XSDT support can run on a hardware-reduced machine.
    /// </summary>
    private static byte[] Rsdp(Gpa xsdt)
    {
        byte[] rsdp = new byte[RsdpSize];
        "RSD PTR "u8.CopyTo(rsdp);
        AcpiTable.OemId.CopyTo(rsdp.AsSpan(9));
        rsdp[15] = 2;
        rsdp[8] = AcpiTable.Checksum(rsdp.AsSpan(0, 20));
        BinaryPrimitives.WriteInt32LittleEndian(rsdp.AsSpan(20), RsdpSize);
        BinaryPrimitives.WriteUInt64LittleEndian(rsdp.AsSpan(24), xsdt.Value);
        rsdp[32] = AcpiTable.Checksum(rsdp);
        return rsdp;
    }
}
