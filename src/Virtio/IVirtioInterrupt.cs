namespace Virtio;

/// <summary>
/// How a device speaks up (virtio 1.2 §4.2.2, InterruptStatus). Any thread; never blocks and takes no locks.
/// </summary>
public interface IVirtioInterrupt
{
    /// <summary>Buffers were used: sets bit 0 and raises the line.</summary>
    void UsedBuffer();

    /// <summary>
    /// Configuration has changed (<see cref="IVirtioDevice.ConfigGeneration"/> too): sets bit 1 and raises the line.
    /// </summary>
    void ConfigChanged();

    /// <summary>
    /// The device cannot go on (§2.1.2): sets DEVICE_NEEDS_RESET and tells the driver by <see cref="ConfigChanged"/>.
    /// </summary>
    void NeedsReset();
}
