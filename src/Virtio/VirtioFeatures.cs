namespace Virtio;

/// <summary>Feature bits that belong to queues and transport rather than to a device type (virtio 1.2 §6).</summary>
public static class VirtioFeatures
{
    /// <summary>VIRTIO_F_INDIRECT_DESC (28): a descriptor may refer to a table of descriptors.</summary>
    public const ulong IndirectDescriptors = 1UL << 28;

    /// <summary>VIRTIO_F_EVENT_IDX (29): each side says at which index it wants the next notification.</summary>
    public const ulong EventIdx = 1UL << 29;

    /// <summary>VIRTIO_F_VERSION_1 (32): not a legacy driver. Required.</summary>
    public const ulong Version1 = 1UL << 32;

    /// <summary>What the transport adds to a device's own features.</summary>
    public const ulong Transport = IndirectDescriptors | EventIdx | Version1;
}
