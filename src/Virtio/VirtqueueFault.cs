namespace Virtio;

/// <summary>
/// Which rule of split queues (virtio 1.2 §2.7) a driver has broken. None of them leaves a chain that could be
/// answered.
/// </summary>
public enum VirtqueueFault
{
    /// <summary>None.</summary>
    None,

    /// <summary>
    /// The available index offers more than the queue has room for beside the chains not yet used (§2.7.6).
    /// </summary>
    AvailableIndex,

    /// <summary>A descriptor's index lies outside its table (§2.7.5).</summary>
    DescriptorIndex,

    /// <summary>A loop, or more descriptors than the device's queue is long (§2.7.5.3.1).</summary>
    ChainTooLong,

    /// <summary>The chain is longer than 2^32 bytes (§2.7.5.2).</summary>
    TooManyBytes,

    /// <summary>A device-readable descriptor after a device-writable one (§2.7.4.2).</summary>
    Order,

    /// <summary>An indirect descriptor, and the feature was not negotiated (§2.7.5.3.1).</summary>
    IndirectNotNegotiated,

    /// <summary>An indirect descriptor in an indirect table, or one with a successor (§2.7.5.3.1).</summary>
    IndirectNested,

    /// <summary>
    /// An indirect table that is not memory, or not a whole number of descriptors, or empty (§2.7.5.3).
    /// </summary>
    IndirectTable,
}
