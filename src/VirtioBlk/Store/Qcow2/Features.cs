namespace VirtioBlk.Store.Qcow2;

/// <summary>
/// What an image may need that this program lacks, by name (qcow2 specification, "Header": feature bits).
/// </summary>
internal static class Features
{
    private const ulong Dirty = 1 << 0;

    private static readonly string[] s_incompatible =
        ["dirty", "corrupt", "external data file", "compression type", "extended L2 entries"];

    /// <summary>Why the image cannot be opened at all, or null.</summary>
    public static string? Unusable(Header header, uint encryption)
    {
        if (encryption != 0) return $"uses encryption (method {encryption}), which is not supported";
        ulong bits = header.Incompatible & ~Dirty;
        if (bits != 0)
        {
            int bit = System.Numerics.BitOperations.TrailingZeroCount(bits);
            return bit switch
            {
                1 => "is marked as corrupt; repair it with: qemu-img check -r all",
                _ when bit < s_incompatible.Length =>
                    $"uses the feature \"{s_incompatible[bit]}\", which is not supported",
                _ => $"uses an unknown incompatible feature (bit {bit})",
            };
        }

        return header.RefcountOrder is < 0 or > 6 ? $"corrupt: a refcount order of {(uint)header.RefcountOrder}" : null;
    }

    /// <summary>Why the image cannot be opened for writing, or null.</summary>
    public static string? Unwritable(Header header)
    {
        if ((header.Incompatible & Dirty) != 0)
            return "was not closed properly (dirty bit set); repair it with: qemu-img check -r all";
        if (header.Version == 2)
            return "is version 2, which can only be read; convert it with: qemu-img amend -o compat=1.1";
        if (header.Snapshots != 0) return "holds internal snapshots, so it can only be read";
        return header.RefcountOrder != 4
            ? $"has refcounts of {1 << header.RefcountOrder} bits, so it can only be read"
            : null;
    }
}
