using Kvm.Interop;

namespace VirtioBlk.Store.Qcow2;

/// <summary>
/// Guest reads and writes of one layer, by any number of threads: only look-ups take the image's lock, data moves
/// without it.
/// </summary>
/// <remarks>
/// That is sound because a cluster gets its entry only after its data is in the file; because whoever gives clusters a
/// place or takes it away has claimed them; and because a cluster that has lost its entry is not taken again before
/// those have finished who had looked it up: see <see cref="Metadata"/>.
/// </remarks>
/// <param name="file">The image.</param>
/// <param name="meta">Its metadata.</param>
internal sealed class LayerIo(IHostFile file, Metadata meta) : IDisposable
{
    private readonly Geometry _geometry = meta.Header.Geometry;
    private readonly long _diskBytes = meta.Header.DiskBytes;
    private readonly BufferPool _padding = new(2 * meta.Header.Geometry.ClusterBytes);

    // A compressed cluster, expanded, and as stored: in up to two clusters, as a descriptor has it.
    private readonly BufferPool _expanding = new(3 * meta.Header.Geometry.ClusterBytes);

    /// <summary>What is under this layer, or null. May change while somebody is at work.</summary>
    public IBlockBackend? Backing { get; set; }

    /// <summary>See <see cref="IBlockBackend.Read"/>.</summary>
    public void Read(ReadOnlySpan<IoVec> vectors, long offset)
    {
        IoVecCursor cursor = new(vectors, vectors.Length <= IoVecCursor.OnStack
            ? stackalloc IoVec[IoVecCursor.OnStack]
            : new IoVec[vectors.Length]);
        for (long left = Check(vectors, offset); left > 0;)
        {
            using GracePeriod.Stay stay = meta.InUse.Enter();
            Extent extent = meta.Lookup(offset, left);
            ReadOnlySpan<IoVec> piece = cursor.Take(extent.Length);
            switch (extent.Kind)
            {
                case ExtentKind.Data:
                    // The last cluster of a file need not be whole; what is missing is zeros.
                    long read = file.Read(piece, extent.Host);
                    if (read < extent.Length) IoVecCursor.ClearAfter(piece, read);
                    break;
                case ExtentKind.Compressed:
                    ReadCompressed(piece, offset, extent);
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

    /// <summary>See <see cref="IBlockBackend.TryReadCached"/>.</summary>
    public bool TryReadCached(ReadOnlySpan<IoVec> vectors, long offset)
    {
        IoVecCursor cursor = new(vectors, vectors.Length <= IoVecCursor.OnStack
            ? stackalloc IoVec[IoVecCursor.OnStack]
            : new IoVec[vectors.Length]);
        using GracePeriod.Stay stay = meta.InUse.Enter();
        for (long left = Check(vectors, offset); left > 0;)
        {
            if (!meta.TryLookup(offset, left, out Extent extent)) return false;
            ReadOnlySpan<IoVec> piece = cursor.Take(extent.Length);
            if (extent.HoldsData)
            {
                if (extent.Kind == ExtentKind.Compressed || !file.TryReadCached(piece, extent.Host)) return false;
            }
            else if (IsZero(extent, offset)) IoVecCursor.Clear(piece);
            else if (!TryReadBackingCached(piece, offset, extent.Length)) return false;

            offset += extent.Length;
            left -= extent.Length;
        }

        return true;
    }

    /// <summary>See <see cref="IBlockBackend.TryWriteCached"/>: where this layer has data already.</summary>
    public bool TryWriteCached(ReadOnlySpan<IoVec> vectors, long offset)
    {
        IoVecCursor cursor = new(vectors, vectors.Length <= IoVecCursor.OnStack
            ? stackalloc IoVec[IoVecCursor.OnStack]
            : new IoVec[vectors.Length]);
        using GracePeriod.Stay stay = meta.InUse.Enter();
        for (long left = Check(vectors, offset); left > 0;)
        {
            if (!meta.TryLookup(offset, left, out Extent extent) || extent.Kind != ExtentKind.Data) return false;
            file.Write(cursor.Take(extent.Length), extent.Host);
            offset += extent.Length;
            left -= extent.Length;
        }

        return true;
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
            long length = WriteInPlace(ref cursor, offset, left);
            if (length == 0) length = WriteNew(ref cursor, offset, left);
            offset += length;
            left -= length;
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
        _padding.Dispose();
        _expanding.Dispose();
    }

    /// <summary>Writes where this layer has data already.</summary>
    /// <returns>Bytes written; 0 if it has none there.</returns>
    private long WriteInPlace(ref IoVecCursor cursor, long offset, long left)
    {
        using GracePeriod.Stay stay = meta.InUse.Enter();
        Extent extent = meta.Lookup(offset, left);
        if (extent.Kind != ExtentKind.Data) return 0;
        file.Write(cursor.Take(extent.Length), extent.Host);
        return extent.Length;
    }

    /// <summary>Writes where this layer has no data yet.</summary>
    /// <returns>Bytes written; 0 if somebody else has just written there.</returns>
    private long WriteNew(ref IoVecCursor cursor, long offset, long left)
    {
        long start = _geometry.Start(offset);
        long head = offset - start;
        left = Math.Min(left, StepBytes - head);
        using ClusterClaims.Claim claim = Claim(offset, left);
        Extent old = meta.Lookup(offset, left);
        if (old.Kind == ExtentKind.Data) return 0;

        meta.MakeTable(offset);
        bool isKept = old.Kind == ExtentKind.Zero && old.Host != 0;
        int want = (int)_geometry.Clusters(head + old.Length);
        ClusterRun run = isKept ? new ClusterRun(_geometry.Index(old.Host), want) : meta.Take(want);
        try
        {
            long room = (long)run.Count << _geometry.ClusterBits;
            old = old with { Length = Math.Min(old.Length, room - head) };
            WriteRun(cursor.Take(old.Length), run, start, head, old);
            lock (meta.Gate) meta.Map.SetData(start, run);
            return old.Length;
        }
        catch
        {
            if (!isKept) meta.Release(run);
            throw;
        }
    }

    /// <summary>Fills clusters with data and, around it, what the guest saw there before.</summary>
    private void WriteRun(ReadOnlySpan<IoVec> data, ClusterRun run, long start, long head, Extent old)
    {
        long host = run.First << _geometry.ClusterBits;
        long tail = ((long)run.Count << _geometry.ClusterBits) - head - old.Length;
        using GracePeriod.Stay stay = meta.InUse.Enter();
        // Nothing needs to be written around it where that is zeros in a part of the file that has never held anything
        // else.
        if ((head == 0 && tail == 0) || (run.IsFresh && IsZero(old, start)))
        {
            file.Write(data, host + head);
            return;
        }

        nint padding = _padding.Rent();
        try
        {
            Span<IoVec> padded = data.Length + 2 <= IoVecCursor.OnStack
                ? stackalloc IoVec[IoVecCursor.OnStack]
                : new IoVec[data.Length + 2];
            int count = 0;
            if (head > 0) padded[count++] = Old(padding, start, head, old);
            data.CopyTo(padded[count..]);
            count += data.Length;
            if (tail > 0)
                padded[count++] = Old(padding + _geometry.ClusterBytes, start + head + old.Length, tail, old);
            file.Write(padded[..count], host);
        }
        finally
        {
            _padding.Return(padding);
        }
    }

    private IoVec Old(nint at, long offset, long length, Extent old)
    {
        IoVec vector = new(at, (nuint)length);
        if (old.Kind == ExtentKind.Zero) IoVecCursor.Clear([vector]);
        else if (old.Kind == ExtentKind.Compressed) ReadCompressed([vector], offset, old);
        else ReadBacking([vector], offset, length);
        return vector;
    }

    private unsafe void ReadCompressed(ReadOnlySpan<IoVec> vectors, long offset, Extent extent)
    {
        nint buffer = _expanding.Rent();
        try
        {
            // SAFETY: the buffer is three clusters long, and what a descriptor says is stored is at most two.
            Span<byte> cluster = new((void*)buffer, _geometry.ClusterBytes);
            nint stored = buffer + _geometry.ClusterBytes;
            // It may be the last thing in the file, which then need not fill its last sector.
            int length = (int)file.Read([new IoVec(stored, (nuint)extent.StoredBytes)], extent.Host);
            if (!Decompressor.TryExpand(meta.Header.Compression, new((void*)stored, length), cluster))
                throw meta.Header.Corrupt($"the compressed cluster at offset {_geometry.Start(offset)}");
            IoVecCursor.Fill(vectors, cluster[(int)_geometry.InCluster(offset)..]);
        }
        finally
        {
            _expanding.Return(buffer);
        }
    }

    private void ReadBacking(ReadOnlySpan<IoVec> vectors, long offset, long length)
    {
        IBlockBackend? backing = Backing;
        long there = backing is null ? 0 : Math.Clamp(backing.LengthBytes - offset, 0, length);
        if (there == length)
        {
            backing!.Read(vectors, offset);
            return;
        }

        IoVecCursor cursor = new(vectors, new IoVec[vectors.Length]);
        if (there > 0) backing!.Read(cursor.Take(there), offset);
        IoVecCursor.Clear(cursor.Take(length - there));
    }

    private bool TryReadBackingCached(ReadOnlySpan<IoVec> vectors, long offset, long length) =>
        Backing is { } backing && offset + length <= backing.LengthBytes && backing.TryReadCached(vectors, offset);

    /// <summary>Takes the data away from whole clusters, as many as one page maps.</summary>
    /// <returns>Bytes done.</returns>
    private long SetZeros(long offset, long length, bool keepSpace)
    {
        meta.MakeRoom();
        bool hideBacking = Backing is { } backing && offset < backing.LengthBytes;
        Extent extent = meta.Lookup(offset, length);
        if (extent.Kind == ExtentKind.Absent && !hideBacking) return extent.Length;

        // Of what has no table the extent is all that a table would map: do it in steps the cache can hold.
        length = Math.Min(extent.Length, StepBytes);
        using ClusterClaims.Claim claim = Claim(offset, length);
        if (hideBacking) meta.MakeTable(offset);
        lock (meta.Gate)
        {
            for (long at = 0; at < length; at += _geometry.ClusterBytes)
                meta.Map.SetZero(offset + at, keepSpace, hideBacking);
        }

        return length;
    }

    /// <summary>What a page of L2 entries maps.</summary>
    private long StepBytes => (long)meta.Cache.PageBytes / 8 << _geometry.ClusterBits;

    private ClusterClaims.Claim Claim(long offset, long length) =>
        meta.Claims.Take(_geometry.Index(offset), _geometry.Clusters(offset + length));

    private bool IsZero(Extent extent, long offset) =>
        extent.Kind == ExtentKind.Zero
        || (extent.Kind == ExtentKind.Absent && !(Backing is { } backing && offset < backing.LengthBytes));

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
