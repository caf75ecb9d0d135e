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

        // All of it in one page, so in one piece even if the cache is full of others.
        MetaPage page = cache.Get(EntryOffset(table, offset), MetaKind.L2);
        Extent extent = Decode(page, table, offset);
        while (extent.Length < limit && extent.Kind != ExtentKind.Compressed)
        {
            long next = offset + extent.Length;
            if (_geometry.InCluster(next) == 0 && cache.EntryIndex(EntryOffset(table, next)) == 0) break;
            Extent following = Decode(page, table, next);
            if (following.Kind != extent.Kind
                || following.Host != (extent.Host == 0 ? 0 : extent.Host + extent.Length))
                break;
            extent = extent with { Length = extent.Length + following.Length };
        }

        return extent with { Length = Math.Min(extent.Length, limit) };
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
            long at = offset + ((long)i << _geometry.ClusterBits);
            Set(at, Lookup(at, 1), host | Copied);
        }
    }

    /// <summary>Takes the data away from one guest cluster. The L2 table exists.</summary>
    /// <param name="offset">Guest offset, aligned.</param>
    /// <param name="keepSpace">Whether its space in the file stays reserved for it.</param>
    /// <param name="hideBacking">Whether there is a backing whose data must not come to light.</param>
    public void SetZero(long offset, bool keepSpace, bool hideBacking)
    {
        Extent old = Lookup(offset, 1);
        if (!old.HoldsData && !hideBacking && old.Host == 0) return;
        if (old.Host != 0 && keepSpace && old.Kind != ExtentKind.Compressed)
            Set(offset, old, (ulong)old.Host | Copied | Zero);
        else
            Set(offset, old, hideBacking ? Zero : 0);
    }

    /// <summary>Changes an entry; what it pointed at and no longer does is freed.</summary>
    private void Set(long offset, Extent old, ulong value)
    {
        if (_dataClusters is { } count)
            _dataClusters = count + ((value & Zero) == 0 && value != 0 ? 1 : 0) - (old.HoldsData ? 1 : 0);
        cache.SetEntry(EntryOffset(Table(offset), offset), MetaKind.L2, value);
        if (old.Host == 0 || old.Host == (long)(value & OffsetMask)) return;
        // A compressed cluster may share its clusters of the file with others.
        long last = old.Kind == ExtentKind.Compressed ? old.Host + old.StoredBytes - 1 : old.Host;
        for (long index = _geometry.Index(old.Host); index <= _geometry.Index(last); index++)
            refcounts.FreeLater(index);
    }

    private long L1EntryOffset(long offset) => header.L1Offset + offset / _geometry.TableSpan * 8;

    private long EntryOffset(long table, long offset) =>
        table + _geometry.Index(offset % _geometry.TableSpan) * _geometry.L2EntryBytes;

    /// <summary>Offset of the L2 table that maps an offset, or 0.</summary>
    private long Table(long offset)
    {
        ulong entry = cache.Entry(L1EntryOffset(offset), MetaKind.L1);
        if (entry == 0) return 0;
        long table = (long)(entry & OffsetMask);
        CheckHost(entry, table, "an L2 table");
        return table;
    }

    /// <summary>What an L2 entry says about the rest of the cluster, or subcluster, from an offset on.</summary>
    private Extent Decode(MetaPage page, long table, long offset)
    {
        int index = cache.EntryIndex(EntryOffset(table, offset));
        ulong entry = page.Entry(index);
        if ((entry & Compressed) != 0)
            return DecodeCompressed(entry, offset) with { Length = _geometry.ClusterBytes - _geometry.InCluster(offset) };
        (ExtentKind kind, long host) = DecodePlain(entry, offset);
        if (_geometry.HasSubclusters) kind = SubclusterKind(kind, host, page.Entry(index + 1), offset);
        // Space kept for zeros is of use only to a writer, and what has subclusters is not written.
        if (kind != ExtentKind.Data && _geometry.HasSubclusters) host = 0;
        long inUnit = offset & (_geometry.UnitBytes - 1);
        return new Extent(kind, host == 0 ? 0 : host + _geometry.InCluster(offset), _geometry.UnitBytes - inUnit);
    }

    private (ExtentKind Kind, long Host) DecodePlain(ulong entry, long offset)
    {
        if (entry == 0) return (ExtentKind.Absent, 0);
        long host = (long)(entry & OffsetMask);
        if (host != 0) CheckHost(entry & ~Zero, host, $"the cluster at offset {offset}");
        else if (entry != Zero) throw BadEntry(entry, offset);
        // Bit 0 is reserved in version 2 and in extended entries.
        if ((entry & Zero) != 0 && (header.Version == 2 || _geometry.HasSubclusters)) throw BadEntry(entry, offset);
        return ((entry & Zero) != 0 ? ExtentKind.Zero : ExtentKind.Data, host);
    }

    /// <remarks>
    /// Qcow2 specification, "Extended L2 Entries": of the second half bit n says that subcluster n is in the file, bit
    /// 32 + n that it reads as zeros.
    /// </remarks>
    private ExtentKind SubclusterKind(ExtentKind cluster, long host, ulong bitmap, long offset)
    {
        int n = (int)(_geometry.InCluster(offset) / _geometry.UnitBytes);
        bool isData = (bitmap >> n & 1) != 0;
        bool isZero = (bitmap >> (Geometry.Subclusters + n) & 1) != 0;
        if (isData && (isZero || host == 0))
            throw header.Corrupt($"subcluster bitmap 0x{bitmap:x} for offset {offset}");
        if (isZero) return ExtentKind.Zero;
        return isData ? cluster : ExtentKind.Absent;
    }

    /// <remarks>
    /// Qcow2 specification, "Compressed Clusters Descriptor": the offset in bytes, then how many sectors the data
    /// reaches beyond its first.
    /// </remarks>
    private Extent DecodeCompressed(ulong entry, long offset)
    {
        int offsetBits = 62 - (_geometry.ClusterBits - 8);
        long host = (long)(entry & (1UL << offsetBits) - 1);
        long sectors = (long)((entry & Compressed - 1) >> offsetBits) + 1;
        long length = sectors * 512 - host % 512;
        bool sound = (entry & Copied) == 0 && host <= Geometry.MaxHostOffset && !header.Covers(host, length)
            && IsInFile(host);
        return sound ? new Extent(ExtentKind.Compressed, host, 0, (int)length) : throw BadEntry(entry, offset);
    }

    private DiskException BadEntry(ulong entry, long offset) =>
        header.Corrupt($"L2 entry 0x{entry:x} for offset {offset}");

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
        long compressed = 0;
        long tables = 0;
        for (long span = 0; span < header.DiskBytes; span += _geometry.TableSpan)
        {
            if (Table(span) == 0) continue;
            tables++;
            long end = Math.Min(span + _geometry.TableSpan, header.DiskBytes);
            for (long offset = span; offset < end;)
            {
                Extent extent = Lookup(offset, end - offset);
                if (extent.Kind == ExtentKind.Data) data += extent.Length;
                else if (extent.Kind == ExtentKind.Compressed) compressed++;
                offset += extent.Length;
            }

            // Each is a cluster of the file; a table that is used a million times would keep us here.
            if (_geometry.Clusters(data) + tables > _geometry.Clusters(file.LengthBytes))
                throw header.Corrupt("it maps more clusters than its file has");
        }

        return _geometry.Clusters(data) + compressed;
    }
}
