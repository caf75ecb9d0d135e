namespace VirtioBlk.Store.Qcow2;

/// <summary>Guest offset to place in the file: the L1 table and its L2 tables. Callers hold the image's lock.</summary>
/// <param name="file">The image.</param>
/// <param name="header">Its header.</param>
/// <param name="cache">Its metadata.</param>
/// <param name="refcounts">Its free space.</param>
internal sealed class ClusterMap(IHostFile file, Header header, MetaCache cache, Refcounts refcounts)
{
    // Qcow2 specification, "L1 table entry" and "L2 table entry".
    private const ulong OffsetMask = 0x00FF_FFFF_FFFF_FE00;
    private const ulong Copied = 1UL << 63;
    private const ulong Compressed = 1UL << 62;
    private const ulong Zero = 1;

    private readonly Geometry _geometry = header.Geometry;
    private long _fileBytes = file.LengthBytes;
    private long? _dataClusters;

    /// <summary>
    /// Clusters of guest data in this layer. The first call on an image that was not just made reads all its L2 tables.
    /// </summary>
    public long DataClusters => _dataClusters ??= CountData();

    /// <summary>Where the bytes at <paramref name="offset"/> are.</summary>
    /// <param name="offset">Guest offset, inside the disk.</param>
    /// <param name="limit">Bytes of interest, at least one.</param>
    public Extent Lookup(long offset, long limit)
    {
        long table = Table(offset);
        if (table == 0)
        {
            long span = _geometry.TableSpan;
            return new Extent(ExtentKind.Absent, 0, Math.Min(limit, span - offset % span));
        }

        MetaPage page = cache.Get(EntryOffset(table, offset), MetaKind.L2);
        int index = cache.EntryIndex(EntryOffset(table, offset));
        long inCluster = _geometry.InCluster(offset);
        (ExtentKind kind, long host) = Decode(page.Entry(index), offset);
        long length = _geometry.ClusterBytes - inCluster;
        for (index++; length < limit && index < cache.PageBytes / 8; index++)
        {
            (ExtentKind nextKind, long nextHost) = Decode(page.Entry(index), offset + length);
            if (nextKind != kind || nextHost != (host == 0 ? 0 : host + inCluster + length)) break;
            length += _geometry.ClusterBytes;
        }

        return new Extent(kind, host == 0 ? 0 : host + inCluster, Math.Min(length, limit));
    }

    /// <summary>Whether a look-up of that offset reads nothing from the file.</summary>
    public bool IsCached(long offset) =>
        cache.Has(L1EntryOffset(offset))
        && Table(offset) is var table
        && (table == 0 || cache.Has(EntryOffset(table, offset)));

    /// <summary>Makes sure that there is an L2 table for an offset.</summary>
    /// <returns>False if the refcount table must grow first.</returns>
    public bool TryMakeTable(long offset)
    {
        if (Table(offset) != 0) return true;
        if (!refcounts.TryTake(1, out ClusterRun run)) return false;
        long table = run.First << _geometry.ClusterBits;
        try
        {
            file.WriteZeros(table, _geometry.ClusterBytes);
        }
        catch
        {
            refcounts.Release(run);
            throw;
        }

        cache.Drop(table, _geometry.ClusterBytes);
        cache.SetEntry(L1EntryOffset(offset), MetaKind.L1, (ulong)table | Copied);
        return true;
    }

    /// <summary>
    /// Maps guest clusters to clusters of the file that already hold their data. The L2 table exists.
    /// </summary>
    /// <param name="offset">Guest offset of the first, aligned.</param>
    /// <param name="run">The clusters; all entries are in one table.</param>
    public void SetData(long offset, ClusterRun run)
    {
        for (int i = 0; i < run.Count; i++)
        {
            ulong host = (ulong)(run.First + i) << _geometry.ClusterBits;
            Set(offset + ((long)i << _geometry.ClusterBits), host | Copied);
        }
    }

    /// <summary>Takes the data away from one guest cluster. The L2 table exists.</summary>
    /// <param name="offset">Guest offset, aligned.</param>
    /// <param name="keepSpace">Whether its space in the file stays reserved for it.</param>
    /// <param name="hideBacking">Whether there is a backing whose data must not come to light.</param>
    public void SetZero(long offset, bool keepSpace, bool hideBacking)
    {
        (ExtentKind kind, long host) = Decode(EntryOf(offset), offset);
        if (kind != ExtentKind.Data && !hideBacking && host == 0) return;
        if (host != 0 && keepSpace)
        {
            Set(offset, (ulong)host | Copied | Zero);
            return;
        }

        Set(offset, hideBacking ? Zero : 0);
        if (host != 0) refcounts.FreeLater(_geometry.Index(host));
    }

    private ulong EntryOf(long offset) => cache.Entry(EntryOffset(Table(offset), offset), MetaKind.L2);

    private void Set(long offset, ulong value)
    {
        long at = EntryOffset(Table(offset), offset);
        if (_dataClusters is { } count)
            _dataClusters = count + (IsData(value) ? 1 : 0) - (IsData(cache.Entry(at, MetaKind.L2)) ? 1 : 0);
        cache.SetEntry(at, MetaKind.L2, value);
    }

    private static bool IsData(ulong entry) => (entry & Zero) == 0 && (entry & OffsetMask) != 0;

    private long L1EntryOffset(long offset) => header.L1Offset + offset / _geometry.TableSpan * 8;

    private long EntryOffset(long table, long offset) => table + _geometry.Index(offset % _geometry.TableSpan) * 8;

    /// <summary>Offset of the L2 table that maps an offset, or 0.</summary>
    private long Table(long offset)
    {
        ulong entry = cache.Entry(L1EntryOffset(offset), MetaKind.L1);
        if (entry == 0) return 0;
        long table = (long)(entry & OffsetMask);
        CheckHost(entry, table, "an L2 table");
        return table;
    }

    private (ExtentKind Kind, long Host) Decode(ulong entry, long offset)
    {
        if (entry == 0) return (ExtentKind.Absent, 0);
        if ((entry & Compressed) != 0)
            throw new DiskException(file.Path,
                $"holds compressed clusters (at offset {offset}), which are not supported");
        long host = (long)(entry & OffsetMask);
        if (host != 0) CheckHost(entry & ~Zero, host, $"the cluster at offset {offset}");
        else if (entry != Zero) throw header.Corrupt($"L2 entry 0x{entry:x} for offset {offset}");
        // Bit 0 is reserved in version 2.
        if ((entry & Zero) != 0 && header.Version == 2)
            throw header.Corrupt($"L2 entry 0x{entry:x} for offset {offset}");
        return ((entry & Zero) != 0 ? ExtentKind.Zero : ExtentKind.Data, host);
    }

    private void CheckHost(ulong entry, long host, string what)
    {
        bool sound = (entry & ~(OffsetMask | Copied)) == 0 && _geometry.InCluster(host) == 0
            && !header.Covers(host, _geometry.ClusterBytes) && IsInFile(host);
        if (!sound) throw header.Corrupt($"{what} is said to be at 0x{entry & ~Copied:x}");
        if ((entry & Copied) == 0 && header.Snapshots == 0)
            throw header.Corrupt($"{what} is marked as shared, with nothing to share it");
    }

    private bool IsInFile(long host)
    {
        if (host < _fileBytes) return true;
        _fileBytes = file.LengthBytes;
        return host < _fileBytes;
    }

    private long CountData()
    {
        long data = 0;
        long tables = 0;
        for (long span = 0; span < header.DiskBytes; span += _geometry.TableSpan)
        {
            if (Table(span) == 0) continue;
            tables++;
            long end = Math.Min(span + _geometry.TableSpan, header.DiskBytes);
            for (long offset = span; offset < end;)
            {
                Extent extent = Lookup(offset, end - offset);
                if (extent.Kind == ExtentKind.Data) data += _geometry.Clusters(extent.Length);
                offset += extent.Length;
            }

            // Each is a cluster of the file; a table that is used a million times would keep us here.
            if (data + tables > _geometry.Clusters(file.LengthBytes))
                throw header.Corrupt("it maps more clusters than its file has");
        }

        return data;
    }
}
