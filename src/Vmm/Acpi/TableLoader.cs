using System.Buffers.Binary;
using System.Text;

namespace Vmm.Acpi;

/// <summary>
/// The script by which firmware places ACPI tables: fw_cfg file <c>etc/table-loader</c>, of commands of 128 bytes, little-endian
/// (QEMU's hw/acpi/bios-linker-loader.c describes them, SeaBIOS's romfile_loader executes them).
/// </summary>
internal static class TableLoader
{
    /// <summary>fw_cfg file that holds <see cref="AcpiTables.Tables"/>.</summary>
    public const string TablesFile = "etc/acpi/tables";
    /// <summary>fw_cfg file that holds <see cref="AcpiTables.Rsdp"/>.</summary>
    public const string RsdpFile = "etc/acpi/rsdp";

    private const int EntrySize = 128, NameSize = 56;
    private const uint Allocate = 1, AddPointer = 2, AddChecksum = 3;
    private const byte ZoneHigh = 1, ZoneFSegment = 2;
    private const uint TableAlignment = 64;

    /// <summary>Writes the script for a machine's tables.</summary>
    public static byte[] Script(AcpiTables tables)
    {
        List<byte> script = [];
        script.AddRange(AllocateEntry(RsdpFile, AcpiTables.Alignment, ZoneFSegment));
        script.AddRange(AllocateEntry(TablesFile, TableAlignment, ZoneHigh));
        foreach (AcpiPointer pointer in tables.Pointers) script.AddRange(PointerEntry(TablesFile, pointer));
        script.AddRange(PointerEntry(RsdpFile, AcpiTables.RsdpPointer));
        foreach ((int at, int start, int length) in tables.Checksums) script.AddRange(ChecksumEntry(TablesFile, at, start, length));
        foreach ((int at, int start, int length) in AcpiTables.RsdpChecksums)
            script.AddRange(ChecksumEntry(RsdpFile, at, start, length));
        return [.. script];
    }

    private static byte[] AllocateEntry(string file, uint alignment, byte zone)
    {
        byte[] entry = Entry(Allocate, file);
        BinaryPrimitives.WriteUInt32LittleEndian(entry.AsSpan(4 + NameSize), alignment);
        entry[8 + NameSize] = zone;
        return entry;
    }

    private static byte[] PointerEntry(string file, AcpiPointer pointer)
    {
        byte[] entry = Entry(AddPointer, file);
        Encoding.ASCII.GetBytes(TablesFile, entry.AsSpan(4 + NameSize));
        BinaryPrimitives.WriteInt32LittleEndian(entry.AsSpan(4 + (2 * NameSize)), pointer.Offset);
        entry[8 + (2 * NameSize)] = (byte)pointer.Size;
        return entry;
    }

    private static byte[] ChecksumEntry(string file, int at, int start, int length)
    {
        byte[] entry = Entry(AddChecksum, file);
        Span<byte> fields = entry.AsSpan(4 + NameSize);
        BinaryPrimitives.WriteInt32LittleEndian(fields, at);
        BinaryPrimitives.WriteInt32LittleEndian(fields[4..], start);
        BinaryPrimitives.WriteInt32LittleEndian(fields[8..], length);
        return entry;
    }

    private static byte[] Entry(uint command, string file)
    {
        byte[] entry = new byte[EntrySize];
        BinaryPrimitives.WriteUInt32LittleEndian(entry, command);
        Encoding.ASCII.GetBytes(file, entry.AsSpan(4));
        return entry;
    }
}
