using Kvm.Interop;

namespace VirtioBlk.Store.Tests;

/// <summary>A backing that must not be asked for anything.</summary>
internal sealed class UnreadableBackend(long lengthBytes) : IBlockBackend
{
    public long LengthBytes => lengthBytes;

    public bool IsReadOnly => true;

    public void Read(ReadOnlySpan<IoVec> vectors, long offset) => throw new InvalidOperationException();

    public void Write(ReadOnlySpan<IoVec> vectors, long offset) => throw new InvalidOperationException();

    public void Flush()
    {
    }

    public void Discard(long offset, long length) => throw new InvalidOperationException();

    public void WriteZeroes(long offset, long length, bool mayUnmap) => throw new InvalidOperationException();

    public void Dispose()
    {
    }
}
