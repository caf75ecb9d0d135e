namespace Virtio;

/// <summary>
/// A device behind a window of guest-physical memory. It sees offsets only, never where the window lies.
/// </summary>
public interface IMmioDevice
{
    /// <summary>Answers a load. Called on a vCPU thread; must not block.</summary>
    /// <param name="offset">From the window's start, bytes.</param>
    /// <param name="data">1 to 8 bytes to fill, little-endian.</param>
    void Read(ulong offset, Span<byte> data);

    /// <summary>Takes a store. Called on a vCPU thread; must not block.</summary>
    /// <param name="offset">From the window's start, bytes.</param>
    /// <param name="data">1 to 8 bytes, little-endian.</param>
    void Write(ulong offset, ReadOnlySpan<byte> data);
}
