using System.Buffers.Binary;
using System.Text;
using CowMemory;
using Vmm.Acpi;
using Xunit;

namespace Vmm.Tests.Acpi;

public sealed class AcpiTablesTests(ITestOutputHelper output)
{
    public static TheoryData<int, int> Machines => new() { { 1, 0 }, { 1, 1 }, { 2, 2 }, { 8, 8 }, { 254, 8 } };

    [Theory]
    [MemberData(nameof(Machines))]
    public void Iasl_takes_every_table_apart_and_puts_it_together_again(int cpus, int disks)
    {
        using TempDirectory directory = new();
        foreach ((string signature, byte[] table) in Tables(cpus, disks))
        {
            directory.Write($"{signature}.aml", table);
            string apart = HostTool.Run("iasl", directory.Path, "-d", $"{signature}.aml");
            Assert.DoesNotContain("Error", apart, StringComparison.OrdinalIgnoreCase);
            Assert.DoesNotContain("Warning", apart, StringComparison.OrdinalIgnoreCase);
            Assert.DoesNotContain("**** ", System.IO.File.ReadAllText(directory.File($"{signature}.dsl")));

            string together = HostTool.Run(
                "iasl", directory.Path, "-oa", "-p", $"again-{signature}", $"{signature}.dsl");
            output.WriteLine(together);
            Assert.Contains("0 Errors, 0 Warnings", together);
            byte[] again = System.IO.File.ReadAllBytes(directory.File($"again-{signature}.aml"));
            Assert.Equal(Content(table), Content(again));
        }
    }

    [Theory]
    [MemberData(nameof(Machines))]
    public void Everything_is_where_the_guest_looks_and_sums_to_zero(int cpus, int disks)
    {
        using TestMemory memory = new(2 << 20);
        Gpa rsdp = AcpiTables.For(new AcpiDescription(cpus, disks)).WriteTo(memory.Guest);
        Assert.Equal(PlatformMap.AcpiTablesStart, rsdp.Value);
        byte[] pointer = memory.Guest.Read(rsdp, 36).ToArray();
        Assert.Equal("RSD PTR ", Encoding.ASCII.GetString(pointer, 0, 8));
        Assert.Equal(0, Sum(pointer.AsSpan(0, 20)));
        Assert.Equal(0, Sum(pointer));

        foreach ((string signature, byte[] table) in Tables(memory.Guest, rsdp))
            Assert.True(Sum(table) == 0, signature);
        Assert.Equal(["APIC", "DSDT", "FACP", "XSDT"], Tables(memory.Guest, rsdp).Select(t => t.Signature).Order());
    }

    [Fact]
    public void The_tables_of_the_largest_machine_fit_into_their_area()
    {
        using TestMemory memory = new(2 << 20);
        Gpa rsdp = AcpiTables.For(new AcpiDescription(254, PlatformMap.VirtioMaxDevices)).WriteTo(memory.Guest);
        ReadOnlySpan<byte> behind = memory.Guest.Read(new Gpa(PlatformMap.AcpiTablesEnd), 1 << 20);
        Assert.Equal(-1, behind.IndexOfAnyExcept((byte)0));
        // And the firmware's part of it, from 0xF0000 on, stays free.
        Assert.Equal(-1, memory.Guest.Read(new Gpa(0xF_0000), 0x1_0000).IndexOfAnyExcept((byte)0));
        Assert.Equal(PlatformMap.AcpiTablesStart, rsdp.Value);
    }

    [Fact]
    public void The_dsdt_says_what_the_platform_has()
    {
        string dsl = Disassembled("DSDT", cpus: 1, disks: 3);
        foreach (string needle in (string[])[
            """Name (_HID, EisaId ("PNP0501")""", "0x03F8,", "{4}", "0x02F8,", "{3}",
            """Name (_HID, EisaId ("PNP0B00")""", "0x0070,",
            """Name (_HID, EisaId ("PNP0C0C")""", "Name (_HID, \"ACPI0013\"",
            "OperationRegion (EREG, SystemMemory, 0xFEA00000, 0x04)", "Notify (PWRB, 0x80)",
            "_S5, Package (0x04)", "0xFEB00000,", "0xFEB00200,", "0xFEB00400,", "0x00000200,",
            "0x00000010,", "0x00000012,"])
        {
            Assert.Contains(needle, dsl);
        }

        Assert.DoesNotContain("0xFEB00600", dsl);
        Assert.Equal(4, dsl.Split("Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive").Length - 1);
        Assert.Equal(3, dsl.Split("Name (_HID, \"LNRO0005\"").Length - 1);
        Assert.Equal(3, dsl.Split("Name (_CCA, One)").Length - 1);
    }

    [Fact]
    public void The_fadt_is_hardware_reduced_and_points_at_the_acpi_device()
    {
        string dsl = Disassembled("FACP", cpus: 1, disks: 0);
        foreach (string needle in (string[])[
            "Hardware Reduced (V5) : 1", "Reset Register Supported (V2) : 1", "VGA Not Present (V4) : 1",
            "8042 Present on ports 60/64 (V2) : 0", "CMOS RTC Not Present (V5) : 0", "RTC Century Index : 32",
            "Address : 00000000FEA00200", "Address : 00000000FEA00201", "Address : 00000000FEA00202",
            "Value to cause reset : 42"])
        {
            Assert.Contains(needle, dsl);
        }
    }

    [Fact]
    public void The_madt_lists_the_processors_and_the_interrupt_controllers()
    {
        string dsl = Disassembled("APIC", cpus: 3, disks: 0);
        Assert.Equal(3, dsl.Split("Subtable Type : 00 [Processor Local APIC]").Length - 1);
        foreach (string needle in (string[])[
            "Local Apic ID : 00", "Local Apic ID : 02", "Local Apic Address : FEE00000", "Address : FEC00000",
            "Subtable Type : 02 [Interrupt Source Override]", "Source : 09", "Interrupt : 00000009", "Trigger Mode : 1",
            "Subtable Type : 04 [Local APIC NMI]", "Interrupt Input LINT : 01"])
        {
            Assert.Contains(needle, dsl);
        }
    }

    [Theory]
    [InlineData(0, 0)]
    [InlineData(255, 0)]
    [InlineData(1, -1)]
    [InlineData(1, 9)]
    public void Machines_that_the_platform_cannot_have_are_refused(int cpus, int disks)
    {
        using TestMemory memory = new(2 << 20);
        AcpiDescription description = new(cpus, disks);
        Assert.Throws<ArgumentOutOfRangeException>(() => AcpiTables.For(description));
    }

    [Theory]
    [InlineData(0x3D)] // the one-byte form's longest
    [InlineData(0x3E)]
    [InlineData(0xFFC)]
    [InlineData(0xFFD)] // the two-byte form's longest, with the name
    [InlineData(0x2000)]
    public void Packages_of_any_length_read_back(int filling)
    {
        using TempDirectory directory = new();
        string text = new('x', filling);
        byte[] device = Aml.Device("LONG", Aml.Name("_ADR", Aml.Zero), Aml.Name("TEXT", Aml.String(text)));
        byte[] table = AcpiTable.Build("SSDT", 2, Aml.Scope("\\_SB", device));
        directory.Write("long.aml", table);
        HostTool.Run("iasl", directory.Path, "-d", "long.aml");
        HostTool.Run("iasl", directory.Path, "-oa", "-p", "again", "long.dsl");
        Assert.Equal(Content(table), Content(System.IO.File.ReadAllBytes(directory.File("again.aml"))));
    }

    private static byte Sum(ReadOnlySpan<byte> bytes)
    {
        byte sum = 0;
        foreach (byte b in bytes) sum += b;
        return sum;
    }

    /// <summary>A table without what a compiler signs it with: checksum, creator, creator's revision.</summary>
    private static string Content(byte[] table)
    {
        byte[] copy = [.. table];
        copy[9] = 0;
        copy.AsSpan(28, 8).Clear();
        return Convert.ToHexString(copy);
    }

    private static List<(string Signature, byte[] Table)> Tables(int cpus, int disks)
    {
        using TestMemory memory = new(2 << 20);
        return Tables(memory.Guest, AcpiTables.For(new AcpiDescription(cpus, disks)).WriteTo(memory.Guest));
    }

    /// <summary>Follows the pointers as a guest does.</summary>
    private static List<(string Signature, byte[] Table)> Tables(GuestMemory memory, Gpa rsdp)
    {
        byte[] xsdt = Table(memory, BinaryPrimitives.ReadUInt64LittleEndian(memory.Read(rsdp + 24, 8)));
        List<byte[]> tables = [xsdt];
        for (int at = 36; at < xsdt.Length; at += 8)
            tables.Add(Table(memory, BinaryPrimitives.ReadUInt64LittleEndian(xsdt.AsSpan(at))));
        byte[] fadt = tables.Single(t => t.AsSpan().StartsWith("FACP"u8));
        tables.Add(Table(memory, BinaryPrimitives.ReadUInt64LittleEndian(fadt.AsSpan(140))));
        return [.. tables.Select(t => (Encoding.ASCII.GetString(t, 0, 4), t))];
    }

    private static byte[] Table(GuestMemory memory, ulong address)
    {
        Assert.Equal(0ul, address % 16);
        int length = BinaryPrimitives.ReadInt32LittleEndian(memory.Read(new Gpa(address + 4), 4));
        return memory.Read(new Gpa(address), length).ToArray();
    }

    private static string Disassembled(string signature, int cpus, int disks)
    {
        using TempDirectory directory = new();
        directory.Write("table.aml", Tables(cpus, disks).Single(t => t.Signature == signature).Table);
        HostTool.Run("iasl", directory.Path, "-d", "table.aml");
        return System.IO.File.ReadAllText(directory.File("table.dsl"));
    }
}
