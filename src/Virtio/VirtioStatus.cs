namespace Virtio;

/// <summary>The device status field (virtio 1.2 §2.1).</summary>
[Flags]
public enum VirtioStatus
{
    /// <summary>Reset.</summary>
    None = 0,

    /// <summary>ACKNOWLEDGE: the guest has noticed the device.</summary>
    Acknowledge = 1,

    /// <summary>DRIVER: the guest knows how to drive it.</summary>
    Driver = 2,

    /// <summary>DRIVER_OK: the driver is set up, the device may work.</summary>
    DriverOk = 4,

    /// <summary>FEATURES_OK: both sides agree on the features.</summary>
    FeaturesOk = 8,

    /// <summary>DEVICE_NEEDS_RESET: the device cannot go on.</summary>
    NeedsReset = 0x40,

    /// <summary>FAILED: the guest has given up on the device.</summary>
    Failed = 0x80,
}
