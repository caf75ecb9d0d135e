namespace TestKit.Virtio;

/// <summary><c>struct virtio_blk_discard_write_zeroes</c> (virtio 1.2 §5.2.6).</summary>
public readonly record struct DriverRange(ulong Sector, uint Count, uint Flags = 0);
