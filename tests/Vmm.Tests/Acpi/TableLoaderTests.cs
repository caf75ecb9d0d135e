using System.Buffers.Binary;
using System.Text;
using Vmm.Acpi;
using Xunit;

namespace Vmm.Tests.Acpi;

/// <summary>The script, executed as firmware does, must lead to the tables that a directly booted kernel gets.</summary>
public sealed class TableLoaderTests
{
    private const int EntrySize = 128, NameSize = 56;
    private const ulong TablesAt = 0x7_1234_5640 & 0xFFFF_FFFF, RsdpAt = 0xF_4A10;

    [Theory]
    [InlineData(1, 1)]
    [InlineData(254, 8)]
    public void Firmware_that_follows_it_gets_tables_that_lead_to_each_other_and_sum_to_zero(int cpus, int disks)
    {
        AcpiTables tables = AcpiTables.For(new AcpiDescription(cpus, disks));
        Dictionary<string, (byte[] Content, ulong Address)> files = new()
        {
            [TableLoader.TablesFile] = (tables.Tables.ToArray(), TablesAt),
            [TableLoader.RsdpFile] = (tables.Rsdp.ToArray(), RsdpAt),
        };
        HashSet<string> allocated = [];
        byte[] script = TableLoader.Script(tables);
        Assert.Equal(0, script.Length % EntrySize);
        for (int at = 0; at < script.Length; at += EntrySize) Execute(script.AsSpan(at, EntrySize), files, allocated);
        Assert.Equal(files.Keys.Order(), allocated.Order());

        byte[] rsdp = files[TableLoader.RsdpFile].Content, block = files[TableLoader.TablesFile].Content;
        Assert.Equal((0, 0), (Sum(rsdp.AsSpan(0, 20)), Sum(rsdp)));
        Span<byte> xsdt = Table(block, BinaryPrimitives.ReadUInt64LittleEndian(rsdp.AsSpan(24)), "XSDT");
        Span<byte> fadt = Table(block, BinaryPrimitives.ReadUInt64LittleEndian(xsdt[36..]), "FACP");
        Table(block, BinaryPrimitives.ReadUInt64LittleEndian(xsdt[44..]), "APIC");
        Table(block, BinaryPrimitives.ReadUInt64LittleEndian(fadt[140..]), "DSDT");
        Table(block, BinaryPrimitives.ReadUInt32LittleEndian(fadt[40..]), "DSDT");
    }

    private static Span<byte> Table(byte[] block, ulong address, string signature)
    {
        Span<byte> table = block.AsSpan((int)(address - TablesAt));
        table = table[..BinaryPrimitives.ReadInt32LittleEndian(table[4..])];
        Assert.Equal(signature, Encoding.ASCII.GetString(table[..4]));
        Assert.Equal(0, Sum(table));
        return table;
    }

    private static void Execute(
        ReadOnlySpan<byte> entry, Dictionary<string, (byte[] Content, ulong Address)> files, HashSet<string> allocated)
    {
        string file = Name(entry[4..]);
        ReadOnlySpan<byte> fields = entry[(4 + NameSize)..];
        switch (BinaryPrimitives.ReadUInt32LittleEndian(entry))
        {
            case 1:
                Assert.True(allocated.Add(file));
                uint alignment = BinaryPrimitives.ReadUInt32LittleEndian(fields);
                Assert.True(alignment >= 16 && (alignment & (alignment - 1)) == 0);
                Assert.InRange(fields[4], 1, 2);
                break;
            case 2:
                Assert.Contains(file, allocated);
                ulong distance = files[Name(fields)].Address;
                Span<byte> place = files[file].Content.AsSpan((int)BinaryPrimitives.ReadUInt32LittleEndian(fields[NameSize..]));
                if (fields[NameSize + 4] == 8)
                    BinaryPrimitives.WriteUInt64LittleEndian(place, BinaryPrimitives.ReadUInt64LittleEndian(place) + distance);
                else
                    BinaryPrimitives.WriteUInt32LittleEndian(place, BinaryPrimitives.ReadUInt32LittleEndian(place) + (uint)distance);
                break;
            case 3:
                Assert.Contains(file, allocated);
                byte[] content = files[file].Content;
                int at = BinaryPrimitives.ReadInt32LittleEndian(fields), start = BinaryPrimitives.ReadInt32LittleEndian(fields[4..]);
                content[at] -= (byte)Sum(content.AsSpan(start, BinaryPrimitives.ReadInt32LittleEndian(fields[8..])));
                break;
            default:
                Assert.Fail("an unknown command");
                break;
        }
    }

    private static string Name(ReadOnlySpan<byte> field) => Encoding.ASCII.GetString(field[..NameSize]).TrimEnd('\0');

    private static int Sum(ReadOnlySpan<byte> bytes)
    {
        byte sum = 0;
        foreach (byte b in bytes) sum += b;
        return sum;
    }
}
