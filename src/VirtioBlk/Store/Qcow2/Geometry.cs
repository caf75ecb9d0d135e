namespace VirtioBlk.Store.Qcow2;

/// <summary>
/// What follows from the cluster size (qcow2 specification, "Cluster mapping" and "Reference counts").
/// </summary>
/// <param name="clusterBits">Log2 of the cluster size: 9 to 21.</param>
/// <param name="hasSubclusters">Whether L2 entries are extended: each maps 32 parts of its cluster apart.</param>
internal readonly struct Geometry(int clusterBits, bool hasSubclusters = false)
{
    /// <summary>512 bytes, the specification's least.</summary>
    public const int MinClusterBits = 9;
    /// <summary>2 MiB, the most QEMU takes.</summary>
    public const int MaxClusterBits = 21;
    /// <summary>2 to the power of <see cref="MaxClusterBits"/>.</summary>
    public const int MaxClusterBytes = 1 << MaxClusterBits;
    /// <summary>Most bytes of L1 table, as in QEMU: bounds what a header can make us do.</summary>
    public const long MaxL1Bytes = 32 << 20;
    /// <summary>Where a file ends at the latest: offsets have 56 bits.</summary>
    public const long MaxHostOffset = (1L << 56) - 1;
    /// <summary>Most bytes of refcount table, as in QEMU.</summary>
    public const long MaxRefTableBytes = 8 << 20;

    public int ClusterBits { get; } = clusterBits;

    public int ClusterBytes => 1 << ClusterBits;

    /// <summary>Least cluster size with subclusters: those are no smaller than a sector.</summary>
    public const int MinSubclusteredBits = 14;
    /// <summary>Parts of a cluster with an extended L2 entry.</summary>
    public const int Subclusters = 32;

    /// <summary>Whether L2 entries are extended.</summary>
    public bool HasSubclusters { get; } = hasSubclusters;

    /// <summary>Bytes of an L2 entry.</summary>
    public int L2EntryBytes => HasSubclusters ? 16 : 8;

    /// <summary>Guest bytes that are in one place: a cluster, or a part of it.</summary>
    public int UnitBytes => HasSubclusters ? ClusterBytes / Subclusters : ClusterBytes;

    /// <summary>Entries of a cluster of refcount table: 8 bytes each.</summary>
    public int RefTableEntries => ClusterBytes / 8;

    /// <summary>Entries of a refcount block: 16 bits each.</summary>
    public int RefBlockEntries => ClusterBytes / 2;

    /// <summary>Guest bytes one L2 table maps.</summary>
    public long TableSpan => (long)ClusterBytes * (ClusterBytes / L2EntryBytes);

    public long Index(long offset) => offset >> ClusterBits;

    public long Start(long offset) => offset & -ClusterBytes;

    public long InCluster(long offset) => offset & (ClusterBytes - 1);

    /// <summary>Clusters that <paramref name="bytes"/> need.</summary>
    public long Clusters(long bytes) => (bytes >> ClusterBits) + (InCluster(bytes) == 0 ? 0 : 1);

    /// <summary>Entries of the L1 table of a disk.</summary>
    public long L1Entries(long diskBytes) => Math.Max(1, (diskBytes - 1) / TableSpan + 1);
}
