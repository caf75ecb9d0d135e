using System.Buffers.Binary;

namespace VirtioBlk.Store.Qcow2;

/// <summary>A piece of metadata in memory, in the file's byte order.</summary>
/// <param name="offset">Where in the file, a multiple of the page's length.</param>
/// <param name="kind">What it is part of.</param>
/// <param name="bytes">Its content.</param>
internal sealed class MetaPage(long offset, MetaKind kind, byte[] bytes)
{
    public long Offset { get; } = offset;

    public MetaKind Kind { get; } = kind;

    /// <summary>The content now. Written only through <see cref="MetaCache.Modify"/>.</summary>
    public byte[] Bytes { get; set; } = bytes;

    /// <summary>The file lacks the content.</summary>
    public bool IsDirty { get; set; }

    /// <summary>A flush is writing an array that is, or was, the content: the file's content is not known.</summary>
    public bool IsBeingWritten { get; set; }

    /// <summary>That array is still <see cref="Bytes"/>, so it must not change.</summary>
    public bool IsShared { get; set; }

    /// <summary>Used since the clock hand last passed.</summary>
    public bool IsReferenced { get; set; }

    public ulong Entry(int index) => BinaryPrimitives.ReadUInt64BigEndian(Bytes.AsSpan(index * 8));
}
