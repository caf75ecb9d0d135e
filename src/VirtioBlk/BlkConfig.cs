using System.Buffers.Binary;

namespace VirtioBlk;

/// <summary>
/// The configuration space (virtio 1.2 §5.2.4) at one moment. Replaced as a whole, so generation and content go
/// together.
/// </summary>
internal sealed class BlkConfig
{
    /// <summary>The unit of the protocol, bytes.</summary>
    public const int SectorBytes = 512;

    /// <summary>Length of the answer to GET_ID, bytes.</summary>
    public const int SerialBytes = 20;

    /// <summary>Largest queue; also the most buffers of a request, two of which are header and status.</summary>
    public const ushort QueueSize = 256;

    /// <summary>Most ranges of one discard or write-zeroes request.</summary>
    public const int MaxRanges = 16;

    /// <summary>
    /// Longest range of a discard or write-zeroes request: 16 MiB. A pause waits for the request at work, so none may
    /// take long.
    /// </summary>
    public const uint MaxRangeSectors = 32768;

    private const uint DiscardAlignmentSectors = 8; // what a host file system can give back: 4 KiB

    private readonly byte[] _bytes = new byte[60];

    /// <summary>Describes a disk.</summary>
    /// <param name="lengthBytes">Its size.</param>
    /// <param name="generation">A number of its own.</param>
    public BlkConfig(long lengthBytes, uint generation)
    {
        Generation = generation;
        BinaryPrimitives.WriteInt64LittleEndian(_bytes, lengthBytes / SectorBytes); // capacity
        Put(12, QueueSize - 2); // seg_max
        Put(20, SectorBytes); // blk_size
        Put(36, MaxRangeSectors); // max_discard_sectors
        Put(40, MaxRanges); // max_discard_seg
        Put(44, DiscardAlignmentSectors); // discard_sector_alignment
        Put(48, MaxRangeSectors); // max_write_zeroes_sectors
        Put(52, MaxRanges); // max_write_zeroes_seg
        _bytes[56] = 1; // write_zeroes_may_unmap
    }

    /// <summary>Changes with the content.</summary>
    public uint Generation { get; }

    /// <summary>Reads it; zeros beyond its end.</summary>
    public void Read(ulong offset, Span<byte> data)
    {
        data.Clear();
        if (offset >= (ulong)_bytes.Length) return;
        ReadOnlySpan<byte> bytes = _bytes.AsSpan((int)offset);
        bytes[..Math.Min(bytes.Length, data.Length)].CopyTo(data);
    }

    private void Put(int offset, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(_bytes.AsSpan(offset), value);
}
