namespace VirtioBlk.Store.Qcow2;

/// <summary>Where guest bytes are.</summary>
internal enum ExtentKind
{
    /// <summary>Not in this layer: in the backing, or zeros.</summary>
    Absent,
    /// <summary>They read as zeros, whatever the backing says.</summary>
    Zero,
    /// <summary>In this layer's file.</summary>
    Data,
    /// <summary>In this layer's file, in a cluster stored compressed.</summary>
    Compressed,
}

/// <summary>A run of guest bytes that are in one place.</summary>
/// <param name="Kind">Where they are.</param>
/// <param name="Host">
/// Data: offset in the file of the first byte. Zero: that of the space kept for them, or 0. Compressed: where the
/// compressed cluster begins.
/// </param>
/// <param name="Length">Bytes.</param>
/// <param name="StoredBytes">Compressed: bytes of the file in which the compressed cluster ends.</param>
internal readonly record struct Extent(ExtentKind Kind, long Host, long Length, int StoredBytes = 0)
{
    /// <summary>Whether this layer's file has the bytes.</summary>
    public bool HoldsData => Kind is ExtentKind.Data or ExtentKind.Compressed;
}
