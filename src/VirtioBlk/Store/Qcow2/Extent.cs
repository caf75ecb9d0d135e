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
}

/// <summary>A run of guest bytes that are in one place.</summary>
/// <param name="Kind">Where they are.</param>
/// <param name="Host">Data: offset in the file of the first byte. Zero: that of the space kept for them, or 0.</param>
/// <param name="Length">Bytes.</param>
internal readonly record struct Extent(ExtentKind Kind, long Host, long Length);
