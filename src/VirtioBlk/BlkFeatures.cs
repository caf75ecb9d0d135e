namespace VirtioBlk;

/// <summary>Feature bits of the block device (virtio 1.2 §5.2.3) that this one knows.</summary>
public static class BlkFeatures
{
    /// <summary>VIRTIO_BLK_F_SEG_MAX (2): seg_max says how many data buffers a request may have.</summary>
    public const ulong SegmentMax = 1UL << 2;

    /// <summary>VIRTIO_BLK_F_RO (5): writes fail.</summary>
    public const ulong ReadOnly = 1UL << 5;

    /// <summary>VIRTIO_BLK_F_BLK_SIZE (6): blk_size is the logical block size.</summary>
    public const ulong BlockSize = 1UL << 6;

    /// <summary>VIRTIO_BLK_F_FLUSH (9): there is a write-back cache and a command that flushes it.</summary>
    public const ulong Flush = 1UL << 9;

    /// <summary>VIRTIO_BLK_F_TOPOLOGY (10): which sizes of I/O the disk likes best.</summary>
    public const ulong Topology = 1UL << 10;

    /// <summary>VIRTIO_BLK_F_CONFIG_WCE (11): the driver may choose between write-back and write-through.</summary>
    public const ulong ConfigWriteCache = 1UL << 11;

    /// <summary>VIRTIO_BLK_F_MQ (12): several request queues.</summary>
    public const ulong MultiQueue = 1UL << 12;

    /// <summary>VIRTIO_BLK_F_DISCARD (13): ranges can be given back.</summary>
    public const ulong Discard = 1UL << 13;

    /// <summary>VIRTIO_BLK_F_WRITE_ZEROES (14): ranges can be zeroed without sending zeros.</summary>
    public const ulong WriteZeroes = 1UL << 14;
}
