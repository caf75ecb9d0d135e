using System.Runtime.InteropServices;
using Kvm.Interop;

namespace VirtioBlk.Store.Qcow2;

/// <summary>
/// Guest reads and writes of one layer. Any number of threads read while one writes: only look-ups take the image's
/// lock, data moves without it.
/// </summary>
/// <remarks>
/// That is sound because a cluster gets its entry only after its data is in the file; because a cluster that has lost
/// its entry is not taken again before a flush; and because a reader and a writer of the same guest bytes never meet in
/// a layer: the writer of a top layer is also its reader, and a merge writes only what the layer above hides.
/// </remarks>
/// <param name="file">The image.</param>
/// <param name="meta">Its metadata.</param>
internal sealed unsafe class LayerIo(IHostFile file, Metadata meta) : IDisposable
{
    private readonly Geometry _geometry = meta.Header.Geometry;
    private readonly long _diskBytes = meta.Header.DiskBytes;
    private byte* _padding;
    private IoVec[] _padded = [];

    /// <summary>What is under this layer, or null.</summary>
    public IBlockBackend? Backing { get; set; }

    /// <summary>See <see cref="IBlockBackend.Read"/>.</summary>
    public void Read(ReadOnlySpan<IoVec> vectors, long offset)
    {
        IoVecCursor cursor = new(vectors, vectors.Length <= IoVecCursor.OnStack
            ? stackalloc IoVec[IoVecCursor.OnStack]
            : new IoVec[vectors.Length]);
        for (long left = Check(vectors, offset); left > 0;)
        {
            Extent extent = meta.Lookup(offset, left);
            ReadOnlySpan<IoVec> piece = cursor.Take(extent.Length);
            switch (extent.Kind)
            {
                case ExtentKind.Data:
                    // The last cluster of a file need not be whole; what is missing is zeros.
                    long read = file.Read(piece, extent.Host);
                    if (read < extent.Length) IoVecCursor.ClearAfter(piece, read);
                    break;
                case ExtentKind.Zero:
                    IoVecCursor.Clear(piece);
                    break;
                default:
                    ReadBacking(piece, offset, extent.Length);
                    break;
            }

            offset += extent.Length;
            left -= extent.Length;
        }
    }

    /// <summary>See <see cref="IBlockBackend.Write"/>.</summary>
    public void Write(ReadOnlySpan<IoVec> vectors, long offset)
    {
        IoVecCursor cursor = new(vectors, vectors.Length <= IoVecCursor.OnStack
            ? stackalloc IoVec[IoVecCursor.OnStack]
            : new IoVec[vectors.Length]);
        for (long left = Check(vectors, offset); left > 0;)
        {
            meta.MakeRoom();
            Extent extent = meta.Lookup(offset, left);
            if (extent.Kind == ExtentKind.Data)
                file.Write(cursor.Take(extent.Length), extent.Host);
            else
                extent = WriteNew(ref cursor, offset, extent);
            offset += extent.Length;
            left -= extent.Length;
        }
    }

    /// <summary>
    /// See <see cref="IBlockBackend.Discard"/>: whole clusters lose their data, parts of clusters keep it.
    /// </summary>
    public void Discard(long offset, long length)
    {
        long end = Check(offset, length);
        // The disk's last cluster may reach beyond its end.
        if (end == _diskBytes) end = _geometry.Clusters(end) << _geometry.ClusterBits;
        for (long at = _geometry.Clusters(offset) << _geometry.ClusterBits; at < _geometry.Start(end);)
            at += SetZeros(at, _geometry.Start(end) - at, keepSpace: false);
    }

    /// <summary>See <see cref="IBlockBackend.WriteZeroes"/>.</summary>
    public void WriteZeroes(long offset, long length, bool mayUnmap)
    {
        long end = Check(offset, length);
        Span<IoVec> space = stackalloc IoVec[Geometry.MaxClusterBytes / Zeros.PageBytes];
        while (offset < end)
        {
            long clusterEnd = Math.Min(_geometry.Start(offset) + _geometry.ClusterBytes, _diskBytes);
            if (_geometry.InCluster(offset) == 0 && end >= clusterEnd)
            {
                long whole = end == _diskBytes
                    ? _geometry.Clusters(end) << _geometry.ClusterBits
                    : _geometry.Start(end);
                offset += SetZeros(offset, whole - offset, keepSpace: !mayUnmap);
                continue;
            }

            long part = Math.Min(end, clusterEnd) - offset;
            if (!IsZero(meta.Lookup(offset, part), offset)) Write(Zeros.Vectors(part, space), offset);
            offset += part;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        // SAFETY: allocated by WriteNew, or null; no write is under way.
        NativeMemory.AlignedFree(_padding);
        _padding = null;
    }

    /// <summary>Writes where this layer has no data yet.</summary>
    /// <returns>The part that was written.</returns>
    private Extent WriteNew(ref IoVecCursor cursor, long offset, Extent extent)
    {
        long start = _geometry.Start(offset);
        long head = offset - start;
        int want = (int)_geometry.Clusters(head + extent.Length);
        meta.MakeTable(offset);
        bool isKept = extent.Host != 0;
        ClusterRun run = isKept ? new ClusterRun(_geometry.Index(extent.Host), want) : meta.Take(want);
        try
        {
            long room = (long)run.Count << _geometry.ClusterBits;
            extent = extent with { Length = Math.Min(extent.Length, room - head) };
            long tail = room - head - extent.Length;
            ReadOnlySpan<IoVec> data = cursor.Take(extent.Length);
            long host = run.First << _geometry.ClusterBits;
            // Around the data comes what the guest saw there before: nothing needs to be written where that is zeros in
            // a part of the file that has never held anything else.
            if (run.IsFresh && IsZero(extent, start)) file.Write(data, host + head);
            else file.Write(Pad(data, start, head, tail, extent), host);
            lock (meta.Gate) meta.Map.SetData(start, run);
            return extent;
        }
        catch
        {
            if (!isKept) meta.Release(run);
            throw;
        }
    }

    /// <summary>Puts the old content of the clusters' other bytes around data.</summary>
    private ReadOnlySpan<IoVec> Pad(ReadOnlySpan<IoVec> data, long start, long head, long tail, Extent old)
    {
        if (head == 0 && tail == 0) return data;
        if (_padding is null) _padding = (byte*)NativeMemory.AlignedAlloc((nuint)_geometry.ClusterBytes * 2, 4096);
        if (_padded.Length < data.Length + 2) _padded = new IoVec[data.Length + 2];
        int count = 0;
        if (head > 0) _padded[count++] = Old(_padding, start, head, old);
        data.CopyTo(_padded.AsSpan(count));
        count += data.Length;
        if (tail > 0) _padded[count++] = Old(_padding + _geometry.ClusterBytes, start + head + old.Length, tail, old);
        return _padded.AsSpan(0, count);
    }

    private IoVec Old(byte* at, long offset, long length, Extent old)
    {
        IoVec vector = new((nint)at, (nuint)length);
        if (old.Kind == ExtentKind.Zero) IoVecCursor.Clear([vector]);
        else ReadBacking([vector], offset, length);
        return vector;
    }

    private void ReadBacking(ReadOnlySpan<IoVec> vectors, long offset, long length)
    {
        long there = Backing is { } backing ? Math.Clamp(backing.LengthBytes - offset, 0, length) : 0;
        if (there == length)
        {
            Backing!.Read(vectors, offset);
            return;
        }

        IoVecCursor cursor = new(vectors, new IoVec[vectors.Length]);
        if (there > 0) Backing!.Read(cursor.Take(there), offset);
        IoVecCursor.Clear(cursor.Take(length - there));
    }

    /// <summary>Takes the data away from whole clusters, as many as one table maps.</summary>
    /// <returns>Bytes done.</returns>
    private long SetZeros(long offset, long length, bool keepSpace)
    {
        meta.MakeRoom();
        Extent extent = meta.Lookup(offset, length);
        bool hideBacking = Backing is { } backing && offset < backing.LengthBytes;
        if (extent.Kind == ExtentKind.Absent)
        {
            if (!hideBacking) return extent.Length;
            // Without a table the extent is all that a table would map: do it in steps the cache can hold.
            long step = (long)meta.Cache.PageBytes / 8 << _geometry.ClusterBits;
            extent = extent with { Length = Math.Min(extent.Length, step) };
            meta.MakeTable(offset);
        }

        lock (meta.Gate)
        {
            for (long at = 0; at < extent.Length; at += _geometry.ClusterBytes)
                meta.Map.SetZero(offset + at, keepSpace, hideBacking);
        }

        return extent.Length;
    }

    private bool IsZero(Extent extent, long offset) =>
        extent.Kind == ExtentKind.Zero
        || (extent.Kind == ExtentKind.Absent && (Backing is null || offset >= Backing.LengthBytes));

    private long Check(ReadOnlySpan<IoVec> vectors, long offset)
    {
        long length = IoVecCursor.TotalBytes(vectors);
        Check(offset, length);
        return length;
    }

    private long Check(long offset, long length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(length, _diskBytes - offset);
        return offset + length;
    }
}
