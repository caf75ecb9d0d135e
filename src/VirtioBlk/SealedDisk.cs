using Kvm.Interop;
using VirtioBlk.Store;

namespace VirtioBlk;

/// <summary>
/// What a shadow sees in place of a persistent disk: 8 sectors of zeros that refuse every change. Linux announces a
/// disk that grows from any size but 0 with RESIZE=1, which is why it has a size at all.
/// </summary>
/// <remarks>
/// It does not call itself read-only: the driver would remember that when the real disk takes its place.
/// </remarks>
public sealed class SealedDisk : IBlockBackend
{
    /// <inheritdoc/>
    public long LengthBytes => 4096;

    /// <inheritdoc/>
    public bool IsReadOnly => false;

    /// <inheritdoc/>
    public bool AnswersAtOnce => true;

    /// <inheritdoc/>
    public void Read(ReadOnlySpan<IoVec> vectors, long offset) => IoVecCursor.Clear(vectors);

    /// <inheritdoc/>
    public void Write(ReadOnlySpan<IoVec> vectors, long offset) => throw Refused();

    /// <inheritdoc/>
    public void Flush() { }

    /// <inheritdoc/>
    public void Discard(long offset, long length) => throw Refused();

    /// <inheritdoc/>
    public void WriteZeroes(long offset, long length, bool mayUnmap) => throw Refused();

    /// <inheritdoc/>
    public void Dispose() { }

    private static IOException Refused() => new("The disk is sealed");
}
