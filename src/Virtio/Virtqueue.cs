namespace Virtio;

/// <summary>A split virtqueue, device side (virtio 1.2 §2.7).</summary>
public sealed class Virtqueue;
