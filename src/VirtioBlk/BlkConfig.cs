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

    /// <summary>Where the one field lies that the driver may write: writeback, one byte.</summary>
    public const int WriteBackOffset = 32;

    private const byte PhysicalBlockExponent = 3; // 8 sectors: the page of the host's cache, 4 KiB
    private const uint DiscardAlignmentSectors = 8; // what a host file system can give back: 4 KiB

    private readonly byte[] _bytes = new byte[60];

    /// <summary>Describes a disk.</summary>
    /// <param name="lengthBytes">Its size.</param>
    /// <param name="queues">How many request queues the device has.</param>
    /// <param name="generation">A number of its own.</param>
    public BlkConfig(long lengthBytes, int queues, uint generation)
    {
        Generation = generation;
        BinaryPrimitives.WriteInt64LittleEndian(_bytes, lengthBytes / SectorBytes); // capacity
        Put(12, QueueSize - 2); // seg_max
        Put(20, SectorBytes); // blk_size
        _bytes[24] = PhysicalBlockExponent; // physical_block_exp; alignment_offset (25) is 0
        BinaryPrimitives.WriteUInt16LittleEndian(_bytes.AsSpan(26), 1 << PhysicalBlockExponent); // min_io_size
        BinaryPrimitives.WriteUInt16LittleEndian(_bytes.AsSpan(34), (ushort)queues); // num_queues
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
    /// <param name="offset">From its start, bytes.</param>
    /// <param name="data">To fill.</param>
    /// <param name="writeBack">The field that is the driver's to write.</param>
    public void Read(ulong offset, Span<byte> data, bool writeBack)
    {
        data.Clear();
        if (offset >= (ulong)_bytes.Length) return;
        ReadOnlySpan<byte> bytes = _bytes.AsSpan((int)offset);
        bytes[..Math.Min(bytes.Length, data.Length)].CopyTo(data);
        if (TryPlace(offset, data.Length, out int at)) data[at] = writeBack ? (byte)1 : (byte)0;
    }

    /// <summary>Whether an access covers the driver's field, and where in the access it lies.</summary>
    public static bool TryPlace(ulong offset, int length, out int at)
    {
        at = WriteBackOffset - (int)Math.Min(offset, WriteBackOffset);
        return offset <= WriteBackOffset && at < length;
    }

    private void Put(int offset, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(_bytes.AsSpan(offset), value);
}
