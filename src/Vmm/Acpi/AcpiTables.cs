using System.Buffers.Binary;
using CowMemory;

namespace Vmm.Acpi;

/// <summary>
/// A machine's ACPI tables as one block and the RSDP that leads to it, not yet bound to a place: pointers are offsets into the
/// block. <see cref="WriteTo"/> puts them where a directly booted kernel looks, <see cref="TableLoader"/> tells firmware how to.
/// </summary>
public sealed class AcpiTables
{
    private const int RsdpSize = 36, RsdpXsdt = 24, RsdpFirstPart = 20, RsdpChecksum = 8, RsdpExtendedChecksum = 32;
    private const int TableChecksum = 9;
    internal const int Alignment = 16;

    private readonly List<AcpiPointer> _pointers = [];
    private readonly List<(int Start, int Length)> _extents = [];
    private byte[] _tables = [];

    private AcpiTables(AcpiDescription description)
    {
        int dsdt = Add(Dsdt.Build(description.VirtioDeviceCount));
        int fadt = Add(Fadt.Build());
        Point(fadt + Fadt.DsdtOffset, sizeof(uint), dsdt);
        Point(fadt + Fadt.ExtendedDsdtOffset, sizeof(ulong), dsdt);
        int madt = Add(Madt.Build(description.CpuCount));
        ReadOnlySpan<int> listed = [fadt, madt];
        int xsdt = Add(AcpiTable.Build("XSDT", 1, new byte[listed.Length * sizeof(ulong)]));
        for (int i = 0; i < listed.Length; i++)
            Point(xsdt + AcpiTable.HeaderSize + (i * sizeof(ulong)), sizeof(ulong), listed[i]);
        Rsdp = BuildRsdp(xsdt);
    }

    /// <summary>All tables but the RSDP.</summary>
    public ReadOnlyMemory<byte> Tables => _tables;

    /// <summary>The RSDP; its XSDT address, 8 bytes at <see cref="RsdpPointer"/>, is an offset into <see cref="Tables"/>.</summary>
    public ReadOnlyMemory<byte> Rsdp { get; }

    /// <summary>The places in <see cref="Tables"/> that hold offsets into <see cref="Tables"/>.</summary>
    internal IReadOnlyList<AcpiPointer> Pointers => _pointers;

    /// <summary>The place in <see cref="Rsdp"/> that holds an offset into <see cref="Tables"/>.</summary>
    internal static AcpiPointer RsdpPointer => new(RsdpXsdt, sizeof(ulong));

    /// <summary>Where each table's checksum is, and what it covers.</summary>
    internal IEnumerable<(int Checksum, int Start, int Length)> Checksums =>
        _extents.Select(table => (table.Start + TableChecksum, table.Start, table.Length));

    /// <summary>The RSDP's two checksums (ACPI 6.4 §5.2.5.3).</summary>
    internal static IEnumerable<(int Checksum, int Start, int Length)> RsdpChecksums =>
        [(RsdpChecksum, 0, RsdpFirstPart), (RsdpExtendedChecksum, 0, RsdpSize)];

    /// <summary>Builds DSDT, FADT, MADT, XSDT and RSDP.</summary>
    /// <param name="description">The machine.</param>
    /// <exception cref="ArgumentOutOfRangeException">More processors or devices than the platform has.</exception>
    public static AcpiTables For(AcpiDescription description)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(description.CpuCount, 1, nameof(description));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(description.CpuCount, 254, nameof(description));
        ArgumentOutOfRangeException.ThrowIfNegative(description.VirtioDeviceCount, nameof(description));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(
            description.VirtioDeviceCount, PlatformMap.VirtioMaxDevices, nameof(description));
        return new AcpiTables(description);
    }

    /// <summary>Puts everything into the area below 1 MiB that the memory map reserves for it, the RSDP first.</summary>
    /// <param name="memory">Of at least 1 MiB.</param>
    /// <returns>The RSDP's address, for boot_params. A guest that scans for it finds it too.</returns>
    public Gpa WriteTo(GuestMemory memory)
    {
        Gpa rsdp = new(PlatformMap.AcpiTablesStart);
        Gpa tables = rsdp + (ulong)AlignUp(RsdpSize);
        Write(memory, rsdp, Rsdp, [RsdpPointer], tables, RsdpChecksums);
        Write(memory, tables, Tables, _pointers, tables, Checksums);
        return rsdp;
    }

    private static void Write(
        GuestMemory memory, Gpa place, ReadOnlyMemory<byte> content, IEnumerable<AcpiPointer> pointers, Gpa target,
        IEnumerable<(int Checksum, int Start, int Length)> checksums)
    {
        byte[] bytes = content.ToArray();
        foreach (AcpiPointer pointer in pointers) pointer.Add(bytes, target.Value);
        foreach ((int checksum, int start, int length) in checksums)
        {
            bytes[checksum] = 0;
            bytes[checksum] = AcpiTable.Checksum(bytes.AsSpan(start, length));
        }

        bytes.CopyTo(memory.Write(place, bytes.Length));
    }

    private static int AlignUp(int length) => (length + Alignment - 1) & -Alignment;

    /// <summary>No RSDT: nothing that lacks XSDT support can run on a hardware-reduced machine.</summary>
    private static byte[] BuildRsdp(int xsdt)
    {
        byte[] rsdp = new byte[RsdpSize];
        "RSD PTR "u8.CopyTo(rsdp);
        AcpiTable.OemId.CopyTo(rsdp.AsSpan(9));
        rsdp[15] = 2;
        BinaryPrimitives.WriteInt32LittleEndian(rsdp.AsSpan(20), RsdpSize);
        RsdpPointer.Add(rsdp, (ulong)xsdt);
        return rsdp;
    }

    private int Add(byte[] table)
    {
        int start = AlignUp(_tables.Length);
        Array.Resize(ref _tables, start + table.Length);
        table.CopyTo(_tables, start);
        _extents.Add((start, table.Length));
        return start;
    }

    private void Point(int place, int size, int target)
    {
        AcpiPointer pointer = new(place, size);
        pointer.Add(_tables, (ulong)target);
        _pointers.Add(pointer);
    }
}
