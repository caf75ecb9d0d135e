using System.Buffers.Binary;
using CowMemory;
using Kvm.Interop;
using Virtio;

namespace VirtioBlk;

/// <summary>
/// Reads requests (virtio 1.2 §5.2.6) out of descriptor chains, however the driver has framed them (§2.7.4.1).
/// </summary>
/// <param name="memory">The guest's memory.</param>
/// <param name="features">The features that both sides agreed on.</param>
internal sealed unsafe class BlkRequestReader(GuestMemory memory, ulong features)
{
    private const int HeaderBytes = 16; // le32 type, le32 reserved, le64 sector
    private const int RangeBytes = 16; // le64 sector, le32 num_sectors, le32 flags
    private const uint UnmapFlag = 1;

    /// <summary>Reads one request.</summary>
    /// <param name="chain">Where from.</param>
    /// <param name="diskBytes">The disk's size.</param>
    /// <param name="readOnly">Whether what changes the disk fails.</param>
    /// <param name="request">Becomes the request, with a verdict.</param>
    /// <returns>False where it has no status byte in memory: then there is no way to answer it.</returns>
    public bool TryRead(DescriptorChain chain, long diskBytes, bool readOnly, BlkRequest request)
    {
        Span<IoVec> last = stackalloc IoVec[1];
        if (chain.WritableBytes == 0 || Resolve(chain.Writable, chain.WritableBytes - 1, 1, last) != 1) return false;
        request.Begin(chain.Head, last[0], chain.WritableBytes);

        Span<byte> header = stackalloc byte[HeaderBytes];
        if (!TryCopy(chain.Readable, 0, header))
        {
            request.Judge(default, BlkStatus.IoError);
            return true;
        }

        BlkRequestType type = (BlkRequestType)BinaryPrimitives.ReadUInt32LittleEndian(header);
        ulong sector = BinaryPrimitives.ReadUInt64LittleEndian(header[8..]);
        request.Judge(type, type switch
        {
            BlkRequestType.In or BlkRequestType.GetId => ReadData(chain, type, sector, diskBytes, request),
            BlkRequestType.Out => readOnly ? BlkStatus.IoError : ReadData(chain, type, sector, diskBytes, request),
            // A command whose feature was not negotiated does not exist for this driver.
            BlkRequestType.Discard when (features & BlkFeatures.Discard) == 0 => BlkStatus.Unsupported,
            BlkRequestType.WriteZeroes when (features & BlkFeatures.WriteZeroes) == 0 => BlkStatus.Unsupported,
            BlkRequestType.Discard or BlkRequestType.WriteZeroes => ReadRanges(chain, type, diskBytes, readOnly, request),
            BlkRequestType.Flush => BlkStatus.Ok,
            _ => BlkStatus.Unsupported,
        });
        return true;
    }

    private static bool IsOnDisk(ulong sector, ulong length, long diskBytes)
    {
        ulong sectors = (ulong)diskBytes / BlkConfig.SectorBytes;
        return sector <= sectors && length <= (sectors - sector) * BlkConfig.SectorBytes;
    }

    private BlkStatus ReadData(
        DescriptorChain chain, BlkRequestType type, ulong sector, long diskBytes, BlkRequest request)
    {
        bool outward = type == BlkRequestType.Out;
        uint length = outward ? chain.ReadableBytes - HeaderBytes : chain.WritableBytes - 1;
        bool fits = type == BlkRequestType.GetId
            ? length == BlkConfig.SerialBytes
            : length % BlkConfig.SectorBytes == 0 && IsOnDisk(sector, length, diskBytes);
        if (!fits) return BlkStatus.IoError;
        ReadOnlySpan<ChainBuffer> buffers = outward ? chain.Readable : chain.Writable;
        int count = Resolve(buffers, outward ? HeaderBytes : 0u, length, request.Vectors(buffers.Length));
        if (count < 0) return BlkStatus.IoError;
        request.SetVectors(count);
        request.Locate(type == BlkRequestType.GetId ? 0 : (long)(sector * BlkConfig.SectorBytes), length);
        return BlkStatus.Ok;
    }

    private BlkStatus ReadRanges(
        DescriptorChain chain, BlkRequestType type, long diskBytes, bool readOnly, BlkRequest request)
    {
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
            request.Add(new BlkRange((long)(sector * BlkConfig.SectorBytes), (long)rangeBytes, flags != 0));
        }

        return readOnly ? BlkStatus.IoError : BlkStatus.Ok;
    }

    /// <summary>Copies a part of a run of buffers out of guest memory.</summary>
    private bool TryCopy(ReadOnlySpan<ChainBuffer> buffers, uint skip, Span<byte> destination)
    {
        Span<IoVec> vectors = stackalloc IoVec[BlkConfig.MaxRanges * RangeBytes]; // a byte each at worst
        int count = Resolve(buffers, skip, (uint)destination.Length, vectors);
        if (count < 0) return false;
        foreach (IoVec vector in vectors[..count])
        {
            // SAFETY: Resolve made it from guest memory, no longer than what is left of the destination.
            new ReadOnlySpan<byte>((void*)vector.Base, (int)vector.Length).CopyTo(destination);
            destination = destination[(int)vector.Length..];
        }

        return true;
    }

    /// <summary>Finds a part of a run of buffers in host memory.</summary>
    /// <returns>How many vectors it takes; -1 where the buffers end too early, or are not memory.</returns>
    private int Resolve(ReadOnlySpan<ChainBuffer> buffers, uint skip, uint length, Span<IoVec> vectors)
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
            vectors[count++] = new IoVec(whole.Base + (nint)skip, take);
            length -= take;
            skip = 0;
        }

        return length == 0 ? count : -1;
    }
}
