using CowMemory;
using Kvm.Interop;
using VirtioBlk.Store;

namespace VirtioBlk;

/// <summary>
/// A disk whose writes nobody will ever see: reads come from a disk below until they are written over, writes stay in
/// memory and go with this object. It is what the old OS has for a persistent disk while a shadow shuts it down.
/// </summary>
public sealed unsafe class DiscardingDisk : IBlockBackend
{
    private const int SectorBytes = 512;
    private const int ChunkSectors = 2048; // a bitmap for 1 MiB of disk
    private const long ChunkBytes = ChunkSectors / 8;

    private readonly IBlockBackend _below;
    private readonly MemoryFile _file;
    private readonly SafeMapping _mapping;
    private readonly long _maxBytes;

    // One write takes memory at a time, or together they would take more than there is.
    private readonly Lock _growing = new();

    // Guards _written; the bytes themselves have no order among requests that overlap.
    private readonly Lock _marking = new();
    private readonly Dictionary<long, ulong[]> _written = [];

    /// <summary>Begins without any writes of its own.</summary>
    /// <param name="below">Where unwritten sectors come from; never written, owned from now on.</param>
    /// <param name="maxBytes">
    /// Most memory that writes may take; those for which it does not suffice fail. An OS can write a whole disk while it ends.
    /// </param>
    /// <exception cref="LibcException">The host refused the memory file.</exception>
    public DiscardingDisk(IBlockBackend below, long maxBytes)
    {
        _maxBytes = maxBytes;
        _below = below;
        LengthBytes = below.LengthBytes;
        _file = MemoryFile.Create("discarded", (ulong)LengthBytes);
        _mapping = SafeMapping.Map(_file.Fd, (nuint)LengthBytes, Libc.MAP_SHARED | Libc.MAP_NORESERVE);
    }

    /// <inheritdoc/>
    public long LengthBytes { get; }

    /// <inheritdoc/>
    public bool IsReadOnly => false;

    /// <inheritdoc/>
    public void Read(ReadOnlySpan<IoVec> vectors, long offset)
    {
        // All of it from below, then what was written on top: a shadow that shuts down is in no hurry.
        _below.Read(vectors, offset);
        foreach (IoVec vector in vectors)
        {
            // A vector may begin and end inside a sector.
            for (nuint done = 0; done < vector.Length;)
            {
                long at = offset + (long)done;
                nuint length = Math.Min((nuint)(SectorBytes - (at % SectorBytes)), vector.Length - done);
                if (IsWritten(at / SectorBytes)) Copy(_mapping.Address + (nint)at, vector.Base + (nint)done, length);
                done += length;
            }

            offset += (long)vector.Length;
        }
    }

    /// <inheritdoc/>
    public void Write(ReadOnlySpan<IoVec> vectors, long offset)
    {
        long start = offset;
        lock (_growing)
        {
            RequireRoom(IoVecCursor.TotalBytes(vectors));
            foreach (IoVec vector in vectors)
            {
                Copy(vector.Base, _mapping.Address + (nint)offset, vector.Length);
                offset += (long)vector.Length;
            }

            MarkWritten(start, offset - start);
        }
    }

    /// <inheritdoc/>
    public void Flush() { }

    /// <inheritdoc/>
    public void Discard(long offset, long length) { }

    /// <inheritdoc/>
    public void WriteZeroes(long offset, long length, bool mayUnmap)
    {
        lock (_growing)
        {
            // Zeros take no memory, but knowing where they are does: a disk can be large.
            RequireRoom(length / (ChunkSectors * SectorBytes) * ChunkBytes);
            if (Libc.fallocate(_file.Fd.Fd, Libc.FALLOC_FL_PUNCH_HOLE | Libc.FALLOC_FL_KEEP_SIZE, offset, length) != 0)
                throw LibcException.FromLastError("fallocate(FALLOC_FL_PUNCH_HOLE)");
            MarkWritten(offset, length);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _mapping.Dispose();
        _file.Dispose();
        _below.Dispose();
    }

    // SAFETY: the caller vouches for the vectors' memory; the other side lies in the mapping, which is as long as the
    // disk.
    private static void Copy(nint from, nint to, nuint length) =>
        Buffer.MemoryCopy((void*)from, (void*)to, length, length);

    private void RequireRoom(long bytes)
    {
        StatX status;
        // SAFETY: statx fills the struct, which has the kernel's size.
        if (Libc.statx(_file.Fd.Fd, "", Libc.AT_EMPTY_PATH, Libc.STATX_BASIC_STATS, &status) != 0)
            throw LibcException.FromLastError("statx");
        if ((long)status.Blocks * 512 + (_written.Count * ChunkBytes) + bytes > _maxBytes)
            throw new IOException($"There is no more memory for discarded writes than {_maxBytes} bytes");
    }

    private bool IsWritten(long sector)
    {
        lock (_marking)
        {
            return _written.TryGetValue(sector / ChunkSectors, out ulong[]? chunk)
                && (chunk[sector % ChunkSectors / 64] >> (int)(sector % 64) & 1) != 0;
        }
    }

    private void MarkWritten(long offset, long length)
    {
        using Lock.Scope scope = _marking.EnterScope();
        for (long sector = offset / SectorBytes; sector < (offset + length) / SectorBytes; sector++)
        {
            if (!_written.TryGetValue(sector / ChunkSectors, out ulong[]? chunk))
                _written.Add(sector / ChunkSectors, chunk = new ulong[ChunkSectors / 64]);
            chunk[sector % ChunkSectors / 64] |= 1UL << (int)(sector % 64);
        }
    }
}
