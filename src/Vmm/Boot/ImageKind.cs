namespace Vmm.Boot;

/// <summary>Names what a file that is no kernel looks like, by its first bytes.</summary>
internal static class ImageKind
{
    /// <summary>A name with its article, or null for a file of no known kind.</summary>
    /// <param name="head">The file's first bytes; 2 KiB show all kinds.</param>
    public static string? Of(ReadOnlySpan<byte> head)
    {
        if (head.StartsWith((ReadOnlySpan<byte>)[0x1F, 0x8B])) return "a gzip file";
        if (head.StartsWith((ReadOnlySpan<byte>)[0x28, 0xB5, 0x2F, 0xFD])) return "a zstd file";
        if (head.StartsWith((ReadOnlySpan<byte>)[0x04, 0x22, 0x4D, 0x18])) return "an lz4 file";
        if (head.StartsWith((ReadOnlySpan<byte>)[0x02, 0x21, 0x4C, 0x18])) return "an lz4 file";
        if (head.StartsWith((ReadOnlySpan<byte>)[0xFD, 0x37, 0x7A, 0x58, 0x5A, 0x00])) return "an xz file";
        if (head.StartsWith("BZh"u8)) return "a bzip2 file";
        if (head.StartsWith("070701"u8)) return "a cpio archive, as initrds are";
        if (head.StartsWith((ReadOnlySpan<byte>)[0x51, 0x46, 0x49, 0xFB])) return "a qcow2 disk image";
        if (head.StartsWith("!<arch>\n"u8)) return "a package or library archive";
        if (head.StartsWith("#!"u8)) return "a script";
        if (At(head, 0x38, "ARMd"u8)) return "an arm64 kernel";
        if (At(head, 0x38, "RSC\u0005"u8)) return "a RISC-V kernel";
        if (head.StartsWith("MZ"u8)) return "an EFI program";
        if (At(head, 0x438, [0x53, 0xEF])) return "an ext4 disk image";
        if (At(head, 0x1FE, [0x55, 0xAA])) return "a disk image";
        return null;
    }

    private static bool At(ReadOnlySpan<byte> head, int offset, ReadOnlySpan<byte> magic) =>
        head.Length >= offset && head[offset..].StartsWith(magic);
}
