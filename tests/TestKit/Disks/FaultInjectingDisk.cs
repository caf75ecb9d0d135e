using Kvm.Interop;
using VirtioBlk;

namespace TestKit.Disks;

/// <summary>A disk before a disk, which fails or waits where a test says so.</summary>
public sealed class FaultInjectingDisk(IBlockBackend below) : IBlockBackend
{
    /// <summary>Called before every operation, with its name and offset; may throw or wait.</summary>
    public Action<string, long>? Before { get; set; }

    public long LengthBytes => below.LengthBytes;

    public bool IsReadOnly => below.IsReadOnly;

    public void Read(ReadOnlySpan<IoVec> vectors, long offset)
    {
        Before?.Invoke(nameof(Read), offset);
        below.Read(vectors, offset);
    }

    public void Write(ReadOnlySpan<IoVec> vectors, long offset)
    {
        Before?.Invoke(nameof(Write), offset);
        below.Write(vectors, offset);
    }

    public void Flush()
    {
        Before?.Invoke(nameof(Flush), 0);
        below.Flush();
    }

    public void Discard(long offset, long length)
    {
        Before?.Invoke(nameof(Discard), offset);
        below.Discard(offset, length);
    }

    public void WriteZeroes(long offset, long length, bool mayUnmap)
    {
        Before?.Invoke(nameof(WriteZeroes), offset);
        below.WriteZeroes(offset, length, mayUnmap);
    }

    public void Dispose() => below.Dispose();
}
