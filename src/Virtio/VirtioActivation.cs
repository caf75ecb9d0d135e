using CowMemory;

namespace Virtio;

/// <summary>What a virtio device gets to work with once its driver is ready.</summary>
/// <param name="Memory">The guest's memory.</param>
/// <param name="Queues">Its queues, in order; those the driver left disabled are null.</param>
/// <param name="Features">The features that both sides agreed on.</param>
/// <param name="Interrupt">
/// Tells the driver about used buffers, changed configuration, or that the device cannot go on.
/// </param>
public sealed record VirtioActivation(
    GuestMemory Memory,
    IReadOnlyList<Virtqueue?> Queues,
    ulong Features,
    IVirtioInterrupt Interrupt);
