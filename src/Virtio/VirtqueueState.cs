namespace Virtio;

/// <summary>
/// All there is to a split queue on the device's side, apart from what lies in guest memory. Plain data: it is what the
/// registers hold, what the queue works on and what is saved.
/// </summary>
/// <remarks>
/// The index for which the driver was last notified is not in it: a suspended queue has nothing unannounced, so that it
/// equals <see cref="NextUsed"/>.
/// </remarks>
public record struct VirtqueueState
{
    /// <summary>Number of descriptors: a power of two up to 32768, or whatever else the driver has written.</summary>
    public ushort Size { get; set; }

    /// <summary>Whether the driver has enabled it.</summary>
    public bool Ready { get; set; }

    /// <summary>Guest-physical address of the descriptor table, 16 bytes an entry.</summary>
    public ulong DescriptorArea { get; set; }

    /// <summary>Guest-physical address of the available ring.</summary>
    public ulong DriverArea { get; set; }

    /// <summary>Guest-physical address of the used ring.</summary>
    public ulong DeviceArea { get; set; }

    /// <summary>Index of the next available entry to take, free-running.</summary>
    public ushort NextAvail { get; set; }

    /// <summary>Index of the next used entry to write, free-running.</summary>
    public ushort NextUsed { get; set; }

    /// <summary>
    /// Heads of chains that were taken from the available ring and are not in the used ring: begun and given up by a
    /// device that was suspended. They are served before the ring. A suspended queue has as many as
    /// <see cref="NextAvail"/> is ahead of <see cref="NextUsed"/>.
    /// </summary>
    public IReadOnlyList<ushort> Returned
    {
        readonly get => field ?? [];
        set => field = value?.Count > 0 ? value : null; // so that two without any are equal
    }
}
