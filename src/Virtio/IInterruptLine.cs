namespace Virtio;

/// <summary>
/// A device's edge-triggered interrupt line. Raising it twice before the guest looks is the same as once.
/// </summary>
public interface IInterruptLine
{
    /// <summary>Sends one edge. Any thread.</summary>
    void Raise();
}
