namespace Virtio;

/// <summary>
/// A descriptor chain, copied out of guest memory once. Made once and filled again for every request.
/// </summary>
/// <param name="capacity">Most buffers it takes: the device's largest queue size.</param>
public sealed class DescriptorChain(int capacity)
{
    private readonly ChainBuffer[] _buffers = new ChainBuffer[capacity];
    private int _readable;
    private int _count;

    /// <summary>Index of its first descriptor: its name in the used ring.</summary>
    public ushort Head { get; private set; }

    /// <summary>The buffers that the device reads, in order.</summary>
    public ReadOnlySpan<ChainBuffer> Readable => _buffers.AsSpan(0, _readable);

    /// <summary>The buffers that the device writes, in order.</summary>
    public ReadOnlySpan<ChainBuffer> Writable => _buffers.AsSpan(_readable, _count - _readable);

    /// <summary>Bytes in <see cref="Readable"/>. Together with <see cref="WritableBytes"/> less than 2^32.</summary>
    public uint ReadableBytes { get; private set; }

    /// <summary>Bytes in <see cref="Writable"/>.</summary>
    public uint WritableBytes { get; private set; }

    internal void Begin(ushort head)
    {
        Head = head;
        _readable = _count = 0;
        ReadableBytes = WritableBytes = 0;
    }

    internal VirtqueueFault Add(ChainBuffer buffer, bool writable)
    {
        if (_count == _buffers.Length) return VirtqueueFault.ChainTooLong;
        if ((ulong)ReadableBytes + WritableBytes + buffer.Length > uint.MaxValue) return VirtqueueFault.TooManyBytes;
        if (!writable && _count > _readable) return VirtqueueFault.Order;
        _buffers[_count++] = buffer;
        if (writable)
        {
            WritableBytes += buffer.Length;
        }
        else
        {
            _readable = _count;
            ReadableBytes += buffer.Length;
        }

        return VirtqueueFault.None;
    }
}
