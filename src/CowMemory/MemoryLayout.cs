namespace CowMemory;

/// <summary>
/// Where guest memory lies: below the hole that belongs to devices (3 GiB to 4 GiB) and, when there is more, above it.
/// </summary>
public sealed class MemoryLayout
{
    /// <summary>Memory comes in pages of this many bytes.</summary>
    public const ulong PageSize = 4096;
    /// <summary>First address of the device hole: 3 GiB.</summary>
    public const ulong HoleStart = 0xC000_0000;
    /// <summary>First address above the device hole: 4 GiB.</summary>
    public const ulong HoleEnd = 0x1_0000_0000;

    private readonly GuestRegion[] _regions;

    /// <summary>Lays out a machine's memory.</summary>
    /// <param name="sizeBytes">Total size in bytes; a multiple of the page size, above 0.</param>
    public MemoryLayout(ulong sizeBytes)
    {
        if (sizeBytes == 0 || sizeBytes % PageSize != 0)
            throw new ArgumentOutOfRangeException(nameof(sizeBytes), sizeBytes, "Memory comes in whole pages");
        SizeBytes = sizeBytes;
        _regions = sizeBytes <= HoleStart
            ? [new GuestRegion(new Gpa(0), sizeBytes, 0)]
            : [new GuestRegion(new Gpa(0), HoleStart, 0),
               new GuestRegion(new Gpa(HoleEnd), sizeBytes - HoleStart, HoleStart)];
    }

    /// <summary>Total size in bytes.</summary>
    public ulong SizeBytes { get; }

    /// <summary>The regions, lowest first: one, or two when the memory reaches beyond the hole.</summary>
    public ReadOnlySpan<GuestRegion> Regions => _regions;
}
