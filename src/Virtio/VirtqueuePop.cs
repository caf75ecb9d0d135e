namespace Virtio;

/// <summary>What <see cref="Virtqueue.Pop"/> found.</summary>
public enum VirtqueuePop
{
    /// <summary>Nothing available.</summary>
    Empty,

    /// <summary>A chain that obeys every rule of the ring.</summary>
    Chain,

    /// <summary>The driver broke a rule (<see cref="Virtqueue.Fault"/>): only a device reset helps.</summary>
    Broken,
}
