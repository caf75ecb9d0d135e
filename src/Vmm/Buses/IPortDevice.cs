namespace Vmm.Buses;

/// <summary>A device behind I/O ports. It sees offsets only, never its port numbers.</summary>
public interface IPortDevice
{
    /// <summary>Answers an IN. Called on a vCPU thread; must not block.</summary>
    /// <param name="offset">From the device's first port.</param>
    /// <param name="data">
    /// 1, 2 or 4 bytes to fill, little-endian. Byte i belongs to port <paramref name="offset"/> + i.
    /// </param>
    void Read(ushort offset, Span<byte> data);

    /// <summary>Takes an OUT. Called on a vCPU thread; must not block.</summary>
    /// <param name="offset">From the device's first port.</param>
    /// <param name="data">1, 2 or 4 bytes, little-endian. Byte i belongs to port <paramref name="offset"/> + i.</param>
    void Write(ushort offset, ReadOnlySpan<byte> data);
}
