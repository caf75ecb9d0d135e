using Vmm.Boot;
using Xunit;

namespace Vmm.Tests.Boot;

public sealed class SetupHeaderTests
{
    public static TheoryData<string, int> Offsets => new()
    {
        { "acpi_rsdp_addr", SetupHeader.AcpiRsdpAddress },
        { "e820_entries", SetupHeader.E820Entries },
        { "e820_table", SetupHeader.E820Table },
        { "hdr", SetupHeader.Start },
        { "edd_mbr_sig_buffer", SetupHeader.EndLimit },
        { "hdr.setup_sects", SetupHeader.SetupSectors },
        { "hdr.syssize", SetupHeader.SystemSize },
        { "hdr.boot_flag", SetupHeader.BootFlag },
        { "hdr.jump", SetupHeader.JumpDistance - 1 },
        { "hdr.header", SetupHeader.Magic },
        { "hdr.version", SetupHeader.Version },
        { "hdr.type_of_loader", SetupHeader.LoaderType },
        { "hdr.loadflags", SetupHeader.LoadFlags },
        { "hdr.ramdisk_image", SetupHeader.RamdiskImage },
        { "hdr.ramdisk_size", SetupHeader.RamdiskSize },
        { "hdr.cmd_line_ptr", SetupHeader.CommandLine },
        { "hdr.initrd_addr_max", SetupHeader.InitrdAddressMax },
        { "hdr.kernel_alignment", SetupHeader.KernelAlignment },
        { "hdr.xloadflags", SetupHeader.ExtendedLoadFlags },
        { "hdr.cmdline_size", SetupHeader.CommandLineSize },
        { "hdr.pref_address", SetupHeader.PreferredAddress },
        { "hdr.init_size", SetupHeader.InitSize },
    };

    [Theory]
    [MemberData(nameof(Offsets))]
    public void Offsets_are_the_kernel_headers(string field, int offset) =>
        Assert.Equal(BootParams.Field(field).Offset, offset);

    public static TheoryData<string, int> Sizes => new()
    {
        { "boot_params", SetupHeader.ZeroPageSize },
        { "e820_table[1]", SetupHeader.E820EntrySize },
        { "XLF_KERNEL_64", SetupHeader.KernelHas64BitEntry },
        { "LOADED_HIGH", SetupHeader.LoadedHigh },
    };

    [Theory]
    [MemberData(nameof(Sizes))]
    public void Sizes_and_flags_are_the_kernel_headers(string name, int value) =>
        Assert.Equal(BootParams.Field(name).Size, value);

    [Fact]
    public void An_entry_of_the_memory_map_is_address_size_and_type_without_gaps()
    {
        int table = BootParams.Field("e820_table").Offset;
        Assert.Equal(table, BootParams.Field("e820_table[0].addr").Offset);
        Assert.Equal(table + 8, BootParams.Field("e820_table[0].size").Offset);
        Assert.Equal(table + 16, BootParams.Field("e820_table[0].type").Offset);
    }
}
