namespace VirtioBlk.Store.Qcow2;

/// <summary>An image's metadata and what guards it.</summary>
/// <remarks>
/// <para><see cref="Gate"/> is the lock over everything in memory; data moves without it. Two more things make that
/// sound. <see cref="Claims"/>: a guest cluster is given a place, or loses it, by one thread at a time.
/// <see cref="InUse"/>: a cluster of the file that has lost its entry is not taken again while somebody may still read
/// or write it who had looked it up before.</para>
/// <para>Order: a claim, then <see cref="WriteBack.Flushing"/>, then <see cref="Gate"/>. Who is in <see cref="InUse"/>
/// only looks up and moves data, and waits for none of the others.</para>
/// </remarks>
internal sealed class Metadata
{
    /// <summary>Most of what a layer's metadata may take in memory; a chain has two or three layers.</summary>
    public const long DefaultCacheBytes = 8 << 20;

    private const long MinCachePages = 64;

    private readonly RefTableGrowth _growth;

    public Metadata(IHostFile file, Header header, long maxCacheBytes)
    {
        Header = header;
        Gate = new Lock();
        Geometry geometry = header.Geometry;
        long pageBytes = Math.Min(geometry.ClusterBytes, MetaCache.MaxPageBytes);
        // All of a small disk's: an L2 entry of 8 bytes and a refcount of 2 for each cluster.
        long pages = geometry.Clusters(header.DiskBytes) * 10 / pageBytes + MinCachePages;
        Cache = new MetaCache(file, geometry.ClusterBytes, (int)Math.Min(pages, maxCacheBytes / pageBytes));
        Refcounts = new Refcounts(file, header, Cache);
        Map = new ClusterMap(file, header, Cache, Refcounts);
        WriteBack = new WriteBack(file, geometry, Gate, Cache, Refcounts, InUse);
        _growth = new RefTableGrowth(file, header, Gate, Cache, Refcounts, WriteBack);
    }

    public Header Header { get; }

    /// <summary>Held for every use of <see cref="Cache"/>, <see cref="Refcounts"/> and <see cref="Map"/>.</summary>
    public Lock Gate { get; }

    /// <summary>Guest clusters whose place is being changed.</summary>
    public ClusterClaims Claims { get; } = new();

    /// <summary>Where one is between looking up a place, or the backing, and having moved the data.</summary>
    public GracePeriod InUse { get; } = new();

    public MetaCache Cache { get; }

    public Refcounts Refcounts { get; }

    public ClusterMap Map { get; }

    public WriteBack WriteBack { get; }

    /// <summary>Where guest bytes are.</summary>
    public Extent Lookup(long offset, long limit)
    {
        lock (Gate) return Map.Lookup(offset, limit);
    }

    /// <summary>The same, where neither the lock nor the file has to be waited for.</summary>
    public bool TryLookup(long offset, long limit, out Extent extent)
    {
        extent = default;
        if (!Gate.TryEnter()) return false;
        try
        {
            if (!Map.IsCached(offset)) return false;
            extent = Map.Lookup(offset, limit);
            return true;
        }
        finally
        {
            Gate.Exit();
        }
    }

    /// <summary>See <see cref="IBlockBackend.IsCrowded"/>.</summary>
    public bool IsCrowded
    {
        get
        {
            lock (Gate) return Cache.IsCrowded || Refcounts.PendingClusters > Refcounts.ManyPending;
        }
    }

    /// <summary>
    /// Before each step of a writer: writes metadata out if more of it waits than may. Who asks <see cref="IsCrowded"/> before
    /// each request never has to wait here.
    /// </summary>
    public void MakeRoom()
    {
        if (!IsFull()) return;
        lock (WriteBack.Flushing)
        {
            // Of the writers that have seen it one does the work.
            if (IsFull()) WriteBack.Run(durable: false);
        }
    }

    /// <summary>Makes sure that there is an L2 table for an offset.</summary>
    public void MakeTable(long offset)
    {
        while (true)
        {
            long full;
            lock (Gate)
            {
                if (Map.TryMakeTable(offset)) return;
                full = Refcounts.TableEntries;
            }

            _growth.Grow(full);
        }
    }

    /// <summary>Takes free clusters: as many adjacent ones as there are, up to <paramref name="want"/>.</summary>
    public ClusterRun Take(int want)
    {
        while (true)
        {
            long full;
            lock (Gate)
            {
                if (Refcounts.TryTake(want, out ClusterRun run)) return run;
                full = Refcounts.TableEntries;
            }

            _growth.Grow(full);
        }
    }

    /// <summary>Gives back clusters that nothing has come to point at.</summary>
    public void Release(ClusterRun run)
    {
        lock (Gate) Refcounts.Release(run);
    }

    private bool IsFull()
    {
        lock (Gate) return Cache.IsFull || Refcounts.PendingClusters > Refcounts.MaxPending;
    }
}
