namespace VirtioBlk.Store.Qcow2;

/// <summary>
/// What follows from the cluster size (qcow2 specification, "Cluster mapping" and "Reference counts").
/// </summary>
/// <param name="clusterBits">Log2 of the cluster size: 9 to 21.</param>
internal readonly struct Geometry(int clusterBits)
{
    /// <summary>512 bytes, the specification's least.</summary>
    public const int MinClusterBits = 9;
    /// <summary>2 MiB, the most QEMU takes.</summary>
    public const int MaxClusterBits = 21;
    /// <summary>2 to the power of <see cref="MaxClusterBits"/>.</summary>
    public const int MaxClusterBytes = 1 << MaxClusterBits;
    /// <summary>Most bytes of L1 table, as in QEMU: bounds what a header can make us do.</summary>
    public const long MaxL1Bytes = 32 << 20;
    /// <summary>Most bytes of refcount table, as in QEMU.</summary>
    public const long MaxRefTableBytes = 8 << 20;

    public int ClusterBits { get; } = clusterBits;

    public int ClusterBytes => 1 << ClusterBits;

    /// <summary>Entries of an L2 table, and of a cluster of refcount table: 8 bytes each.</summary>
    public int TableEntries => ClusterBytes / 8;

    /// <summary>Entries of a refcount block: 16 bits each.</summary>
    public int RefBlockEntries => ClusterBytes / 2;

    /// <summary>Guest bytes one L2 table maps.</summary>
    public long TableSpan => (long)ClusterBytes * TableEntries;

    public long Index(long offset) => offset >> ClusterBits;

    public long Start(long offset) => offset & -ClusterBytes;

    public long InCluster(long offset) => offset & (ClusterBytes - 1);

    /// <summary>Clusters that <paramref name="bytes"/> need.</summary>
    public long Clusters(long bytes) => (bytes >> ClusterBits) + (InCluster(bytes) == 0 ? 0 : 1);

    /// <summary>Entries of the L1 table of a disk.</summary>
    public long L1Entries(long diskBytes) => Math.Max(1, (diskBytes - 1) / TableSpan + 1);
}
