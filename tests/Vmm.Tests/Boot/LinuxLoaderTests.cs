using System.Buffers.Binary;
using CowMemory;
using Vmm.Boot;
using Xunit;

namespace Vmm.Tests.Boot;

public sealed class LinuxLoaderTests : IDisposable
{
    private const ulong MiB = 1 << 20, GiB = 1 << 30;
    private static readonly Gpa s_rsdp = new(0xE_0000);
    private readonly TempDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    [Fact]
    public void A_bzimage_goes_to_its_preferred_address_and_is_entered_at_0x200()
    {
        byte[] code = [1, 2, 3, 4];
        using TestMemory memory = new(128 * MiB);
        BootEntry entry = Load(memory, KernelFile.BzImage(code));
        Assert.Equal(KernelFile.LoadAddress + 0x200, entry.Rip.Value);
        Assert.Equal(code, memory.Guest.Read(entry.Rip, 4).ToArray());
        Assert.Equal(0xCC, memory.Guest.Read(new Gpa(KernelFile.LoadAddress), 1)[0]);
    }

    [Fact]
    public void What_follows_the_kernel_in_its_file_is_not_loaded()
    {
        using TestMemory memory = new(128 * MiB);
        byte[] image = KernelFile.BzImage();
        Load(memory, [.. image, .. "signature"u8]);
        Assert.Equal(0, memory.Guest.Read(new Gpa(KernelFile.LoadAddress + 0x2000), 1)[0]);
    }

    [Fact]
    public void The_zero_page_has_the_kernels_header_and_what_the_loader_adds()
    {
        using TestMemory memory = new(512 * MiB);
        memory.Guest.Write(new Gpa(0x7000), 0x1000).Fill(0xAB); // whatever was there before
        byte[] image = KernelFile.BzImage();
        BootEntry entry = Load(memory, image, "console=ttyS0 ä", initrd: new byte[5000]);
        byte[] page = memory.Guest.Read(entry.Rsi, 4096).ToArray();

        Assert.Equal(0x20Ful, BootParams.Get(page, "hdr.version"));
        Assert.Equal(KernelFile.LoadAddress, BootParams.Get(page, "hdr.pref_address"));
        Assert.Equal(0x10_0000ul, BootParams.Get(page, "hdr.init_size"));
        Assert.Equal(0xFFul, BootParams.Get(page, "hdr.type_of_loader"));
        Assert.Equal(1ul, BootParams.Get(page, "hdr.loadflags") & 1);
        Assert.Equal(s_rsdp.Value, BootParams.Get(page, "acpi_rsdp_addr"));
        Assert.Equal(0ul, BootParams.Get(page, "sentinel")); // or the kernel takes the page for garbage
        Assert.Equal(0ul, BootParams.Get(page, "ext_ramdisk_image"));
        Assert.All(page.AsSpan(BootParams.Field("screen_info").Offset, 64).ToArray(), b => Assert.Equal(0, b));
        int headerEnd = 0x202 + image[0x201];
        Assert.Equal(image[0x212..0x218], page[0x212..0x218]);
        Assert.Equal(image[0x22C..headerEnd], page[0x22C..headerEnd]);
        Assert.All(page[headerEnd..0x2D0], b => Assert.Equal(0, b));

        Gpa commandLine = new(BootParams.Get(page, "hdr.cmd_line_ptr"));
        Assert.Equal("console=ttyS0 ä\0"u8.ToArray(), memory.Guest.Read(commandLine, 17).ToArray());
    }

    [Theory]
    [InlineData(128 * MiB)]
    [InlineData((3 * GiB) + 4096)]
    [InlineData(6 * GiB)]
    public void The_zero_page_has_the_memory_map(ulong size)
    {
        using TestMemory memory = new(size);
        byte[] page = memory.Guest.Read(Load(memory, KernelFile.BzImage()).Rsi, 4096).ToArray();
        IReadOnlyList<E820Entry> map = E820Map.For(memory.Guest.Layout);
        Assert.Equal((ulong)map.Count, BootParams.Get(page, "e820_entries"));
        (int table, int entrySize) = (BootParams.Field("e820_table").Offset, BootParams.Field("e820_table[1]").Size);
        for (int i = 0; i < map.Count; i++)
        {
            ReadOnlySpan<byte> entry = page.AsSpan(table + (i * entrySize));
            Assert.Equal(map[i], new E820Entry(
                BinaryPrimitives.ReadUInt64LittleEndian(entry), BinaryPrimitives.ReadUInt64LittleEndian(entry[8..]),
                (E820Type)BinaryPrimitives.ReadUInt32LittleEndian(entry[16..])));
        }
    }

    [Theory]
    [InlineData(128 * MiB, 5000, 0x7FFF_FFFFu, (128 * MiB) - 8192)]
    [InlineData(128 * MiB, 4096, 0x7FFF_FFFFu, (128 * MiB) - 4096)]
    [InlineData(3 * GiB, 1, 0x7FFF_FFFFu, (2 * GiB) - 4096)]
    [InlineData(6 * GiB, 1, uint.MaxValue, (3 * GiB) - 4096)]
    [InlineData(128 * MiB, 4097, 0x37F_FFFFu, (56 * MiB) - 8192)]
    public void The_initrd_lies_as_high_as_kernel_and_memory_allow(
        ulong size, int length, uint initrdMax, ulong expected)
    {
        byte[] initrd = new byte[length];
        new Random(7).NextBytes(initrd);
        using TestMemory memory = new(size);
        BootEntry entry = Load(memory, KernelFile.BzImage(initrdMax: initrdMax), initrd: initrd);
        byte[] page = memory.Guest.Read(entry.Rsi, 4096).ToArray();
        Assert.Equal(expected, BootParams.Get(page, "hdr.ramdisk_image"));
        Assert.Equal((ulong)length, BootParams.Get(page, "hdr.ramdisk_size"));
        Assert.Equal(initrd, memory.Guest.Read(new Gpa(expected), length).ToArray());
    }

    [Fact]
    public void An_initrd_that_just_fits_between_kernel_and_memory_end_is_loaded_and_one_page_more_is_not()
    {
        ulong kernelEnd = KernelFile.LoadAddress + 0x10_0000;
        int room = (int)((32 * MiB) - kernelEnd);
        using TestMemory memory = new(32 * MiB);
        BootEntry entry = Load(memory, KernelFile.BzImage(), initrd: new byte[room]);
        Assert.Equal(kernelEnd, BootParams.Get(memory.Guest.Read(entry.Rsi, 4096), "hdr.ramdisk_image"));
        Assert.Throws<BootImageException>(() => Load(memory, KernelFile.BzImage(), initrd: new byte[room + 1]));
    }

    [Fact]
    public void Without_an_initrd_the_zero_page_names_none()
    {
        using TestMemory memory = new(128 * MiB);
        byte[] page = memory.Guest.Read(Load(memory, KernelFile.BzImage()).Rsi, 4096).ToArray();
        Assert.Equal((0ul, 0ul), (BootParams.Get(page, "hdr.ramdisk_image"), BootParams.Get(page, "hdr.ramdisk_size")));
    }

    [Fact]
    public void A_vmlinux_goes_to_its_physical_addresses_and_its_bss_is_cleared()
    {
        using TestMemory memory = new(128 * MiB);
        memory.Guest.Write(new Gpa(KernelFile.LoadAddress), 0x4000).Fill(0xEE);
        BootEntry entry = Load(memory, KernelFile.Elf());
        Assert.Equal(KernelFile.LoadAddress, entry.Rip.Value);
        Assert.Equal(-1, memory.Guest.Read(entry.Rip, 0x1000).IndexOfAnyExcept((byte)0xCC));
        Assert.Equal(-1, memory.Guest.Read(entry.Rip + 0x1000, 0x2000).IndexOfAnyExcept((byte)0));
        Assert.Equal(0xEE, memory.Guest.Read(entry.Rip + 0x3000, 1)[0]);

        byte[] page = memory.Guest.Read(entry.Rsi, 4096).ToArray();
        Assert.Equal(0xAA55ul, BootParams.Get(page, "hdr.boot_flag"));
        Assert.Equal("HdrS"u8.ToArray(), page[0x202..0x206]);
        Assert.Equal(0x20Cul, BootParams.Get(page, "hdr.version"));
        Assert.Equal(0xFFul, BootParams.Get(page, "hdr.type_of_loader"));
    }

    [Fact]
    public void A_vmlinux_whose_entry_is_virtual_is_entered_at_the_physical_one()
    {
        using TestMemory memory = new(128 * MiB);
        BootEntry entry = Load(memory, KernelFile.Elf(entry: 0xFFFF_FFFF_8100_0040));
        Assert.Equal(KernelFile.LoadAddress + 0x40, entry.Rip.Value);
    }

    [Fact]
    public void The_kernel_is_read_anew_each_time()
    {
        using TestMemory memory = new(128 * MiB);
        Assert.Equal([1], memory.Guest.Read(Load(memory, KernelFile.BzImage([1])).Rip, 1).ToArray());
        Assert.Equal([2], memory.Guest.Read(Load(memory, KernelFile.BzImage([2])).Rip, 1).ToArray());
    }

    [Fact]
    public void Page_tables_and_descriptors_are_what_64_bit_mode_needs()
    {
        using TestMemory memory = new(128 * MiB);
        BootEntry entry = Load(memory, KernelFile.BzImage());
        Assert.Equal((0x10, 0x18), (entry.CodeSelector, entry.DataSelector)); // __BOOT_CS, __BOOT_DS
        Assert.Equal(0x00AF_9B00_0000_FFFFul, Word(memory, entry.GdtBase + entry.CodeSelector));
        Assert.Equal(0x00CF_9300_0000_FFFFul, Word(memory, entry.GdtBase + entry.DataSelector));
        Assert.Equal(0ul, Word(memory, entry.GdtBase));
        Assert.True(entry.GdtLimit >= entry.DataSelector + 7);
        ulong[] mapped = [0, 0x7000, 0x1F_FFFF, entry.Rip.Value, 0x7FFF_FFFF, 0xFEE0_0000, 0xFFFF_FFFF];
        foreach (ulong address in mapped)
            Assert.Equal(address, Translate(memory, entry.Cr3, address));
        Assert.Null(Translate(memory, entry.Cr3, 0x1_0000_0000));
        Assert.Null(Translate(memory, entry.Cr3, 0xFFFF_8000_0000_0000));
    }

    [Fact]
    public void What_the_loader_writes_lies_in_memory_the_map_calls_usable_and_nothing_overlaps()
    {
        using TestMemory memory = new(128 * MiB);
        BootEntry entry = Load(memory, KernelFile.BzImage(), new string('c', 2047));
        (ulong Start, ulong Length)[] parts =
        [
            (entry.GdtBase.Value, entry.GdtLimit + 1u), (entry.Rsi.Value, 4096), (entry.Rsp.Value - 0x1000, 0x1000),
            (entry.Cr3.Value, 4096 * 6), (BootParams.Get(memory.Guest.Read(entry.Rsi, 4096), "hdr.cmd_line_ptr"), 2048),
        ];
        (ulong Start, ulong Length)[] sorted = [.. parts.OrderBy(p => p.Start)];
        for (int i = 1; i < sorted.Length; i++)
            Assert.True(sorted[i - 1].Start + sorted[i - 1].Length <= sorted[i].Start);
        Assert.All(sorted, part => Assert.True(part.Start + part.Length <= PlatformMap.EbdaStart));
    }

    private static ulong Word(TestMemory memory, Gpa address) =>
        BinaryPrimitives.ReadUInt64LittleEndian(memory.Guest.Read(address, 8));

    /// <summary>Walks the page tables as the processor does (4 levels, 2 MiB pages).</summary>
    private static ulong? Translate(TestMemory memory, Gpa root, ulong address)
    {
        ulong table = root.Value;
        foreach (int shift in (int[])[39, 30, 21])
        {
            ulong entry = Word(memory, new Gpa(table + (((address >> shift) & 511) * 8)));
            if ((entry & 3) != 3) return null;
            if ((entry & 0x80) != 0) return (entry & 0x000F_FFFF_FFE0_0000) + (address & 0x1F_FFFF);
            table = entry & 0x000F_FFFF_FFFF_F000;
        }

        return null;
    }

    private BootEntry Load(TestMemory memory, byte[] kernel, string commandLine = "", byte[]? initrd = null) =>
        LinuxLoader.Load(
            new LinuxBootConfig(
                _directory.Write("kernel", kernel),
                initrd is null ? null : _directory.Write("initrd", initrd),
                commandLine),
            memory.Guest, s_rsdp);
}
