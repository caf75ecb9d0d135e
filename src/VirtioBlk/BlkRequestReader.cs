using System.Buffers.Binary;
using CowMemory;
using Kvm.Interop;
using Virtio;

namespace VirtioBlk;

/// <summary>
/// Reads requests (virtio 1.2 §5.2.6) out of descriptor chains, however the driver has framed them (§2.7.4.1).
/// </summary>
/// <param name="memory">The guest's memory.</param>
/// <param name="capacity">Most buffers of a chain.</param>
internal sealed unsafe class BlkRequestReader(GuestMemory memory, int capacity)
{
    private const int HeaderBytes = 16; // le32 type, le32 reserved, le64 sector
    private const int RangeBytes = 16; // le64 sector, le32 num_sectors, le32 flags
    private const uint UnmapFlag = 1;

    private readonly IoVec[] _vectors = new IoVec[capacity];
    private readonly BlkRange[] _ranges = new BlkRange[BlkConfig.MaxRanges];

    /// <summary>Reads one request.</summary>
    /// <param name="chain">Where from.</param>
    /// <param name="diskBytes">The disk's size.</param>
    /// <param name="request">The request, with a verdict.</param>
    /// <returns>False where it has no status byte in memory: then there is no way to answer it.</returns>
    public bool TryRead(DescriptorChain chain, long diskBytes, out BlkRequest request)
    {
        request = default;
        if (chain.WritableBytes == 0 || Resolve(chain.Writable, chain.WritableBytes - 1, 1) != 1) return false;
        IoVec status = _vectors[0];

        Span<byte> header = stackalloc byte[HeaderBytes];
        if (!TryCopy(chain.Readable, 0, header))
        {
            request = WithoutData(default, BlkStatus.IoError, status, chain);
            return true;
        }

        BlkRequestType type = (BlkRequestType)BinaryPrimitives.ReadUInt32LittleEndian(header);
        ulong sector = BinaryPrimitives.ReadUInt64LittleEndian(header[8..]);
        switch (type)
        {
            case BlkRequestType.In or BlkRequestType.Out or BlkRequestType.GetId:
                bool outward = type == BlkRequestType.Out;
                uint length = outward ? chain.ReadableBytes - HeaderBytes : chain.WritableBytes - 1;
                bool fits = type == BlkRequestType.GetId
                    ? length == BlkConfig.SerialBytes
                    : length % BlkConfig.SectorBytes == 0 && IsOnDisk(sector, length, diskBytes);
                int count = !fits ? -1
                    : outward ? Resolve(chain.Readable, HeaderBytes, length) : Resolve(chain.Writable, 0, length);
                request = count < 0 ? WithoutData(type, BlkStatus.IoError, status, chain) : new BlkRequest
                {
                    Type = type,
                    Verdict = BlkStatus.Ok,
                    Offset = (long)(sector * BlkConfig.SectorBytes),
                    Data = _vectors.AsSpan(0, count),
                    DataLength = length,
                    Status = status,
                    WritableBytes = chain.WritableBytes,
                };
                return true;
            case BlkRequestType.Discard or BlkRequestType.WriteZeroes:
                BlkStatus verdict = ReadRanges(chain, type, diskBytes, out int ranges);
                request = verdict != BlkStatus.Ok ? WithoutData(type, verdict, status, chain) : new BlkRequest
                {
                    Type = type,
                    Verdict = BlkStatus.Ok,
                    Ranges = _ranges.AsSpan(0, ranges),
                    Status = status,
                    WritableBytes = chain.WritableBytes,
                };
                return true;
            default:
                BlkStatus known = type == BlkRequestType.Flush ? BlkStatus.Ok : BlkStatus.Unsupported;
                request = WithoutData(type, known, status, chain);
                return true;
        }
    }

    private static BlkRequest WithoutData(
        BlkRequestType type, BlkStatus verdict, IoVec status, DescriptorChain chain) =>
        new() { Type = type, Verdict = verdict, Status = status, WritableBytes = chain.WritableBytes };

    private static bool IsOnDisk(ulong sector, ulong length, long diskBytes)
    {
        ulong sectors = (ulong)diskBytes / BlkConfig.SectorBytes;
        return sector <= sectors && length <= (sectors - sector) * BlkConfig.SectorBytes;
    }

    private BlkStatus ReadRanges(DescriptorChain chain, BlkRequestType type, long diskBytes, out int count)
    {
        count = 0;
        uint length = chain.ReadableBytes - HeaderBytes;
        if (length == 0 || length % RangeBytes != 0 || length / RangeBytes > BlkConfig.MaxRanges)
            return BlkStatus.IoError;
        Span<byte> bytes = stackalloc byte[BlkConfig.MaxRanges * RangeBytes];
        bytes = bytes[..(int)length];
        if (!TryCopy(chain.Readable, HeaderBytes, bytes)) return BlkStatus.IoError;
        for (; !bytes.IsEmpty; bytes = bytes[RangeBytes..])
        {
            ulong sector = BinaryPrimitives.ReadUInt64LittleEndian(bytes);
            uint sectors = BinaryPrimitives.ReadUInt32LittleEndian(bytes[8..]);
            uint flags = BinaryPrimitives.ReadUInt32LittleEndian(bytes[12..]);
            // MUST (§5.2.6.2): unknown flags, and unmap in a discard.
            if ((flags & ~UnmapFlag) != 0 || (flags != 0 && type == BlkRequestType.Discard))
                return BlkStatus.Unsupported;
            ulong rangeBytes = (ulong)sectors * BlkConfig.SectorBytes;
            if (sectors > BlkConfig.MaxRangeSectors || !IsOnDisk(sector, rangeBytes, diskBytes))
                return BlkStatus.IoError;
            _ranges[count++] = new BlkRange((long)(sector * BlkConfig.SectorBytes), (long)rangeBytes, flags != 0);
        }

        return BlkStatus.Ok;
    }

    /// <summary>Copies a part of a run of buffers out of guest memory.</summary>
    private bool TryCopy(ReadOnlySpan<ChainBuffer> buffers, uint skip, Span<byte> destination)
    {
        int count = Resolve(buffers, skip, (uint)destination.Length);
        if (count < 0) return false;
        foreach (IoVec vector in _vectors.AsSpan(0, count))
        {
            // SAFETY: Resolve made it from guest memory, no longer than what is left of the destination.
            new ReadOnlySpan<byte>((void*)vector.Base, (int)vector.Length).CopyTo(destination);
            destination = destination[(int)vector.Length..];
        }

        return true;
    }

    /// <summary>Finds a part of a run of buffers in host memory, into the vectors.</summary>
    /// <returns>How many vectors it takes; -1 where the buffers end too early, or are not memory.</returns>
    private int Resolve(ReadOnlySpan<ChainBuffer> buffers, uint skip, uint length)
    {
        int count = 0;
        foreach (ChainBuffer buffer in buffers)
        {
            if (length == 0) break;
            if (skip >= buffer.Length)
            {
                skip -= buffer.Length;
                continue;
            }

            if (!memory.TryVector(buffer.Address, buffer.Length, out IoVec whole)) return -1;
            uint take = Math.Min(buffer.Length - skip, length);
            _vectors[count++] = new IoVec(whole.Base + (nint)skip, take);
            length -= take;
            skip = 0;
        }

        return length == 0 ? count : -1;
    }
}
