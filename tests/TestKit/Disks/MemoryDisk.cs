using Kvm.Interop;
using VirtioBlk;

namespace TestKit.Disks;

/// <summary>A disk in an array, which remembers what was asked of it.</summary>
public sealed unsafe class MemoryDisk(long lengthBytes, bool readOnly = false) : IBlockBackend
{
    private int _reads, _writes, _flushes;

    /// <summary>Its content.</summary>
    public byte[] Bytes { get; } = new byte[lengthBytes];

    public long LengthBytes => Bytes.Length;

    public bool IsReadOnly => readOnly;

    public int Reads => _reads;

    public int Writes => _writes;

    public int Flushes => _flushes;

    public List<(long Offset, long Length)> Discards { get; } = [];

    public List<(long Offset, long Length, bool MayUnmap)> Zeroes { get; } = [];

    /// <summary>How many vectors the last read or write came in, and where the first began.</summary>
    public (int Count, nint First) LastVectors { get; private set; }

    public bool IsDisposed { get; private set; }

    public void Read(ReadOnlySpan<IoVec> vectors, long offset)
    {
        Interlocked.Increment(ref _reads);
        LastVectors = (vectors.Length, vectors[0].Base);
        foreach (IoVec vector in vectors)
        {
            Span<byte> memory = new((void*)vector.Base, (int)vector.Length);
            Bytes.AsSpan((int)offset, memory.Length).CopyTo(memory);
            offset += (long)vector.Length;
        }
    }

    public void Write(ReadOnlySpan<IoVec> vectors, long offset)
    {
        Interlocked.Increment(ref _writes);
        LastVectors = (vectors.Length, vectors[0].Base);
        foreach (IoVec vector in vectors)
        {
            new ReadOnlySpan<byte>((void*)vector.Base, (int)vector.Length).CopyTo(Bytes.AsSpan((int)offset));
            offset += (long)vector.Length;
        }
    }

    public bool TryReadCached(ReadOnlySpan<IoVec> vectors, long offset)
    {
        Read(vectors, offset);
        return true;
    }

    public bool TryWriteCached(ReadOnlySpan<IoVec> vectors, long offset)
    {
        if (readOnly) return false;
        Write(vectors, offset);
        return true;
    }

    public void Flush() => Interlocked.Increment(ref _flushes);

    public void Discard(long offset, long length) => Discards.Add((offset, length));

    public void WriteZeroes(long offset, long length, bool mayUnmap)
    {
        Zeroes.Add((offset, length, mayUnmap));
        Bytes.AsSpan((int)offset, (int)length).Clear();
    }

    public void Dispose() => IsDisposed = true;
}
