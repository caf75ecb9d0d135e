using Kvm.Interop;
using VirtioBlk;

namespace Cloning.Disks;

/// <summary>
/// Holds back a guest's FLUSH while the manifest that names the disk is renamed but not yet durable: a power cut in between would
/// bring the old manifest back, and with it an OS that never wrote what the FLUSH promised to keep.
/// </summary>
/// <param name="disk">The disk; not owned.</param>
/// <param name="committed">Whether the manifest is durable.</param>
internal sealed class CommitGate(IBlockBackend disk, CommitState committed) : IBlockBackend
{
    /// <inheritdoc/>
    public long LengthBytes => disk.LengthBytes;

    /// <inheritdoc/>
    public bool IsReadOnly => disk.IsReadOnly;

    /// <inheritdoc/>
    public bool IsCrowded => disk.IsCrowded;

    /// <inheritdoc/>
    public void Read(ReadOnlySpan<IoVec> vectors, long offset) => disk.Read(vectors, offset);

    /// <inheritdoc/>
    public bool TryReadCached(ReadOnlySpan<IoVec> vectors, long offset) => disk.TryReadCached(vectors, offset);

    /// <inheritdoc/>
    public bool TryWriteCached(ReadOnlySpan<IoVec> vectors, long offset) => disk.TryWriteCached(vectors, offset);

    /// <inheritdoc/>
    public void Write(ReadOnlySpan<IoVec> vectors, long offset) => disk.Write(vectors, offset);

    /// <inheritdoc/>
    public void Flush()
    {
        committed.Wait();
        disk.Flush();
    }

    /// <inheritdoc/>
    public void Discard(long offset, long length) => disk.Discard(offset, length);

    /// <inheritdoc/>
    public void WriteZeroes(long offset, long length, bool mayUnmap) => disk.WriteZeroes(offset, length, mayUnmap);

    /// <summary>Nothing: the disk is closed by who opened it.</summary>
    public void Dispose() { }
}
