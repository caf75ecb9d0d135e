using System.Runtime.InteropServices;
using Kvm.Interop;
using VirtioBlk.Store.Qcow2;

namespace VirtioBlk.Store;

/// <summary>
/// Takes the middle one of three layers out of a chain while the guest goes on using the disk: copies what it holds
/// into the layer below it, then puts the layer above it on top of that one.
/// </summary>
/// <remarks>
/// <para>Why this is safe. The middle layer is frozen: nobody changes it. The lower one is read only through the middle
/// one (its lock has just been made exclusive), and so only where the middle one holds nothing; the merge writes only
/// where the middle one holds something. So at every moment, and after a crash at every moment, the chain reads as
/// before, whatever part has been copied, and starting over is always right. The upper layer gets its new name only
/// when the lower one is durable, and only then may the middle one be deleted.</para>
/// <para>The lower layer as it was is lost. That is the reason for the exclusive lock: nobody else may be built upon
/// it.</para>
/// <para>Nothing here is fast or in a hurry: call <see cref="Step"/> on a thread of idle I/O priority.</para>
/// </remarks>
public sealed unsafe class LayerMerge : IDisposable
{
    /// <summary>Most data one step copies.</summary>
    public const int StepBytes = 1 << 20;

    /// <summary>Most data that is copied and not yet durable: what giving up may have to wait for.</summary>
    public const int UnsyncedBytes = 16 << 20;

    // Runs of clusters that one step looks at, when there is little to copy.
    private const int StepExtents = 256;

    private readonly Qcow2Image _upper;
    private readonly Qcow2Image _middle;
    private readonly IDiskLayer _lower;
    private byte* _buffer;
    private long _position, _unsynced;
    private bool _done;

    /// <summary>Prepares a merge: the lower layer is opened for writing and locked for this use alone.</summary>
    /// <param name="upper">
    /// The layer whose backing is to be merged into the one below; writable, or it could not be moved.
    /// </param>
    /// <exception cref="DiskInUseException">Somebody else reads the lower layer.</exception>
    /// <exception cref="DiskException">The layers cannot be merged, or the lower one cannot be written.</exception>
    public LayerMerge(Qcow2Image upper)
    {
        _upper = upper;
        if (upper.IsReadOnly)
            throw new DiskException(upper.Path, "is not writable, so what is under it cannot be merged");
        _middle = upper.Backing as Qcow2Image
            ?? throw new DiskException(upper.Path, "has nothing under it that could be merged");
        if (!_middle.IsReadOnly) throw new DiskException(_middle.Path, "is not frozen, so it cannot be merged");
        _lower = _middle.Backing as IDiskLayer
            ?? throw new DiskException(_middle.Path, "has nothing under it to be merged into");
        if (_lower.LengthBytes < _middle.LengthBytes)
            throw new DiskException(_middle.Path, $"is larger than {_lower.Path}, so it cannot be merged into it");
        if (Math.Min(_lower.LengthBytes, _upper.LengthBytes) > _middle.LengthBytes)
            throw new DiskException(_middle.Path,
                "is smaller than the layers around it: merging it would bring hidden data to light");

        _lower.Thaw();
        // SAFETY: freed in Dispose; used by Step only, one thread at a time.
        _buffer = (byte*)NativeMemory.AlignedAlloc(StepBytes, 4096);
    }

    /// <summary>Disk bytes looked at so far.</summary>
    public long DoneBytes => _position;

    /// <summary>Disk bytes to look at.</summary>
    public long TotalBytes => _middle.LengthBytes;

    /// <summary>Copies a bounded part: at most <see cref="StepBytes"/>.</summary>
    /// <returns>Whether there is more to do.</returns>
    /// <exception cref="IOException">
    /// The host failed. The chain is as good as before; a later merge starts over.
    /// </exception>
    public bool Step()
    {
        ObjectDisposedException.ThrowIf(_buffer is null, this);
        for (int extents = 0; _position < TotalBytes && extents < StepExtents; extents++)
        {
            Extent extent = _middle.Lookup(_position, TotalBytes - _position);
            if (extent.HoldsData)
            {
                long length = Math.Min(extent.Length, StepBytes);
                ReadOnlySpan<IoVec> vectors = [new IoVec((nint)_buffer, (nuint)length)];
                _middle.Read(vectors, _position);
                _lower.Write(vectors, _position);
                _position += length;
                _unsynced += length;
                if (_unsynced >= UnsyncedBytes)
                {
                    _lower.Flush();
                    _unsynced = 0;
                }

                return true;
            }

            if (extent.Kind == ExtentKind.Zero) _lower.WriteZeroes(_position, extent.Length, mayUnmap: true);
            _position += extent.Length;
        }

        if (_position < TotalBytes) return true;
        // Durable before anybody is told that the middle layer is not needed.
        if (!_done) _lower.Flush();
        _done = true;
        return false;
    }

    /// <summary>
    /// Puts the upper layer on top of the lower one, durably. Call it when <see cref="Step"/> has returned false; it
    /// waits for calls on the upper layer that are under way, and for the host's disk.
    /// </summary>
    /// <returns>The middle layer, on its own: no longer used by anybody, to be disposed and then deleted.</returns>
    public Qcow2Image Complete()
    {
        if (!_done) throw new InvalidOperationException("the merge is not done");
        _lower.Freeze();
        _lower.Flush();
        _upper.SetBacking(_lower, BackingPaths.Name(_lower.Path, _middle, _upper), _lower.Format);
        _middle.Attach(null);
        return _middle;
    }

    /// <summary>Ends the merge, done or not: the lower layer is read-only again and locked as shared.</summary>
    public void Dispose()
    {
        if (_buffer is null) return;
        // SAFETY: allocated by the constructor; no step is under way.
        NativeMemory.AlignedFree(_buffer);
        _buffer = null;
        _lower.Freeze();
        _lower.Flush();
    }
}
