using System.Numerics;

namespace VirtioBlk.Store.Qcow2;

/// <summary>
/// What an image may need that this program lacks, by name (qcow2 specification, "Header": feature bits).
/// </summary>
internal static class Features
{
    /// <summary>Incompatible feature bit: the compression type is not zlib.</summary>
    public const ulong Compression = 1 << 3;

    /// <summary>Incompatible feature bit: L2 entries of 16 bytes.</summary>
    public const ulong ExtendedL2 = 1 << 4;

    private const ulong Dirty = 1 << 0;
    private const ulong Corrupt = 1 << 1;
    private const ulong DataFile = 1 << 2;

    /// <summary>Why the image cannot be opened at all, or null.</summary>
    public static string? Unusable(Header header, uint encryption)
    {
        if (encryption != 0) return $"uses encryption (method {encryption}), which is not supported";
        if ((header.Incompatible & Corrupt) != 0) return "is marked as corrupt; repair it with: qemu-img check -r all";
        if ((header.Incompatible & DataFile) != 0)
            return "uses the feature \"external data file\", which is not supported";
        ulong unknown = header.Incompatible & ~(Dirty | Compression | ExtendedL2);
        if (unknown != 0)
            return $"uses an unknown incompatible feature (bit {BitOperations.TrailingZeroCount(unknown)})";
        if (((header.Incompatible & Compression) != 0) != (header.Compression != CompressionType.Zlib))
            return $"corrupt: compression type {(byte)header.Compression} and feature bits 0x{header.Incompatible:x}";
        if (!Enum.IsDefined(header.Compression))
            return $"uses compression type {(byte)header.Compression}, which is not supported (zlib and zstd are)";
        if (header.Geometry.HasSubclusters && header.Geometry.ClusterBits < Geometry.MinSubclusteredBits)
            return $"corrupt: extended L2 entries for clusters of {header.Geometry.ClusterBytes} bytes";
        return header.RefcountOrder is < 0 or > 6 ? $"corrupt: a refcount order of {(uint)header.RefcountOrder}" : null;
    }

    /// <summary>Why the image cannot be opened for writing, or null.</summary>
    public static string? Unwritable(Header header)
    {
        if ((header.Incompatible & Dirty) != 0)
            return "was not closed properly (dirty bit set); repair it with: qemu-img check -r all";
        if (header.Version == 2)
            return "is version 2, which can only be read; convert it with: qemu-img amend -o compat=1.1";
        if (header.Geometry.HasSubclusters) return "has extended L2 entries, so it can only be read";
        if (header.Snapshots != 0) return "holds internal snapshots, so it can only be read";
        return header.RefcountOrder != 4
            ? $"has refcounts of {1 << header.RefcountOrder} bits, so it can only be read"
            : null;
    }
}
