namespace VirtioBlk.Store.Qcow2;

/// <summary>An image's metadata and the one lock over it.</summary>
/// <remarks>Order of locks: <see cref="WriteBack.Flushing"/> before <see cref="Gate"/>.</remarks>
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
        WriteBack = new WriteBack(file, geometry, Gate, Cache, Refcounts);
        _growth = new RefTableGrowth(file, header, Gate, Cache, Refcounts, WriteBack);
    }

    public Header Header { get; }

    /// <summary>Held for every use of <see cref="Cache"/>, <see cref="Refcounts"/> and <see cref="Map"/>.</summary>
    public Lock Gate { get; }

    public MetaCache Cache { get; }

    public Refcounts Refcounts { get; }

    public ClusterMap Map { get; }

    public WriteBack WriteBack { get; }

    /// <summary>Where guest bytes are.</summary>
    public Extent Lookup(long offset, long limit)
    {
        lock (Gate) return Map.Lookup(offset, limit);
    }

    /// <summary>Before each step of a writer: writes metadata out if too much of it waits.</summary>
    public void MakeRoom()
    {
        bool crowded;
        lock (Gate) crowded = Cache.IsCrowded || Refcounts.PendingClusters > Refcounts.MaxPending;
        if (crowded) WriteBack.Run(durable: false);
    }

    /// <summary>Makes sure that there is an L2 table for an offset.</summary>
    public void MakeTable(long offset)
    {
        while (true)
        {
            lock (Gate)
            {
                if (Map.TryMakeTable(offset)) return;
            }

            _growth.Grow();
        }
    }

    /// <summary>Takes free clusters: as many adjacent ones as there are, up to <paramref name="want"/>.</summary>
    public ClusterRun Take(int want)
    {
        while (true)
        {
            lock (Gate)
            {
                if (Refcounts.TryTake(want, out ClusterRun run)) return run;
            }

            _growth.Grow();
        }
    }

    /// <summary>Gives back clusters that nothing has come to point at.</summary>
    public void Release(ClusterRun run)
    {
        lock (Gate) Refcounts.Release(run);
    }
}
