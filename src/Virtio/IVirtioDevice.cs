using Kvm.Interop;

namespace Virtio;

/// <summary>
/// A virtio device without its transport (virtio 1.2 §2): what it offers, its configuration space, its queues' worker.
/// </summary>
/// <remarks>
/// The life cycle is the transport's: <see cref="Activate"/> at DRIVER_OK (or when a saved state is loaded),
/// <see cref="Suspend"/> before state is saved, <see cref="Deactivate"/> at reset. Guest memory is out of reach before
/// Activate.
/// </remarks>
public interface IVirtioDevice
{
    /// <summary>Device type (virtio 1.2 §5): 2 is a block device.</summary>
    uint DeviceId { get; }

    /// <summary>
    /// Feature bits offered, without the transport's own (<see cref="VirtioFeatures.Transport"/>). Never changes.
    /// </summary>
    ulong Features { get; }

    /// <summary>Largest size of each queue, a power of two, at most 32768.</summary>
    ushort MaxQueueSize { get; }

    /// <summary>
    /// One a queue: what the driver's notification signals and the device waits on. They exist as long as the device
    /// does.
    /// </summary>
    IReadOnlyList<EventFd> Notifications { get; }

    /// <summary>Changes whenever configuration space does, in the same instant (virtio 1.2 §2.5).</summary>
    uint ConfigGeneration { get; }

    /// <summary>
    /// What the driver has set in configuration space, packed into a number as the device likes: it moves with a saved
    /// state. Set after <see cref="Negotiated"/>.
    /// </summary>
    uint Settings { get; set; }

    /// <summary>
    /// Both sides agree on features (FEATURES_OK); before, and after a reset, they are none. Settings begin anew.
    /// </summary>
    void Negotiated(ulong features);

    /// <summary>Reads configuration space. Bytes beyond its end read as zero.</summary>
    void ReadConfig(ulong offset, Span<byte> data);

    /// <summary>Writes configuration space. Writes to read-only fields are ignored.</summary>
    void WriteConfig(ulong offset, ReadOnlySpan<byte> data);

    /// <summary>
    /// Starts working on the queues, unless suspended. They may hold requests already: look once before waiting.
    /// </summary>
    void Activate(VirtioActivation activation);

    /// <summary>
    /// Begins no other request and returns when nothing touches guest memory or changes the disk any more: requests that
    /// do are finished, others may be given back to their queue (<see cref="Virtqueue.Return"/>). Queue state is then
    /// complete. Short, it is part of the pauses. Lasts until <see cref="Resume"/>, also over <see cref="Activate"/> and
    /// <see cref="Deactivate"/>.
    /// </summary>
    /// <param name="limit">When to give up, in milliseconds of <see cref="Environment.TickCount64"/>.</param>
    /// <returns>False when the limit has come first: <see cref="Resume"/> takes it back.</returns>
    bool Suspend(long limit = long.MaxValue);

    /// <summary>Goes on after <see cref="Suspend"/>, looking at every queue once.</summary>
    void Resume();

    /// <summary>
    /// Forgets the driver (device reset): stops as <see cref="Suspend"/> does and drops memory and queues.
    /// </summary>
    void Deactivate();
}
