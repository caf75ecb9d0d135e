namespace Virtio;

/// <summary>How a device speaks up (virtio 1.2 §4.2.2, InterruptStatus).</summary>
public interface IVirtioInterrupt
{
    /// <summary>Buffers were used: sets bit 0 and raises the line.</summary>
    void UsedBuffer();

    /// <summary>Configuration changed: bumps ConfigGeneration, sets bit 1 and raises the line.</summary>
    void ConfigChanged();
}
