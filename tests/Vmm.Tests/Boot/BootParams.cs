using System.Text.RegularExpressions;

namespace Vmm.Tests.Boot;

/// <summary>Where the fields of <c>struct boot_params</c> are, as the kernel's own header and gcc have it.</summary>
internal static partial class BootParams
{
    private static readonly Lazy<Dictionary<string, (int Offset, int Size)>> s_fields = new(AskGcc);

    public static (int Offset, int Size) Field(string name) => s_fields.Value[name];

    /// <summary>A field's value in a zero page.</summary>
    public static ulong Get(ReadOnlySpan<byte> zeroPage, string name)
    {
        (int offset, int size) = Field(name);
        ulong value = 0;
        for (int i = size - 1; i >= 0; i--) value = (value << 8) | zeroPage[offset + i];
        return value;
    }

    private static Dictionary<string, (int Offset, int Size)> AskGcc()
    {
        string[] fields =
        [
            "acpi_rsdp_addr", "e820_entries", "e820_table", "sentinel", "hdr", "edd_mbr_sig_buffer",
            "screen_info", "ext_ramdisk_image", "hdr.setup_sects", "hdr.syssize", "hdr.boot_flag", "hdr.jump",
            "hdr.header", "hdr.version", "hdr.type_of_loader",
            "hdr.loadflags", "hdr.ramdisk_image", "hdr.ramdisk_size", "hdr.cmd_line_ptr", "hdr.initrd_addr_max",
            "hdr.kernel_alignment", "hdr.xloadflags", "hdr.cmdline_size", "hdr.pref_address", "hdr.init_size",
            "e820_table[1]", "e820_table[0].addr", "e820_table[0].size", "e820_table[0].type",
        ];
        string lines = string.Concat(fields.Select(f =>
            $"  printf(\"{f} %zu %zu\\n\", offsetof(struct boot_params, {f}), sizeof(bp.{f}));\n"));
        using TempDirectory directory = new();
        System.IO.File.WriteAllText(directory.File("ask.c"), $$"""
            #include <stdio.h>
            #include <stddef.h>
            #include <asm/bootparam.h>
            static struct boot_params bp;
            int main(void) {
            {{lines}}
              printf("boot_params 0 %zu\n", sizeof(struct boot_params));
              printf("XLF_KERNEL_64 0 %d\n", XLF_KERNEL_64);
              printf("LOADED_HIGH 0 %d\n", LOADED_HIGH);
            }
            """);
        HostTool.Run("gcc", directory.Path, "-o", "ask", "ask.c");
        return Line().Matches(HostTool.Run(directory.File("ask"), directory.Path))
            .ToDictionary(m => m.Groups[1].Value, m => (int.Parse(m.Groups[2].Value), int.Parse(m.Groups[3].Value)));
    }

    [GeneratedRegex(@"(\S+) (\d+) (\d+)\n")]
    private static partial Regex Line();
}
