using System.Runtime.InteropServices;
using Kvm.Interop;
using VirtioBlk.Store.Qcow2;

namespace VirtioBlk.Store;

/// <summary>
/// Copies what a chain reads as into another disk, in steps. What is zeros in the chain stays a hole in the copy.
/// </summary>
/// <remarks>
/// With a layer to stop at, only what the layers above it hold is copied: the copy belongs on top of that layer, as they did.
/// </remarks>
public sealed unsafe class ChainCopy : IDisposable
{
    /// <summary>Most data one step copies.</summary>
    public const int StepBytes = 1 << 20;

    /// <summary>Most data that is copied and not yet durable: what giving up, which closes the copy, may have to wait for.</summary>
    public const int UnsyncedBytes = 16 << 20;

    // Zeros are looked for in units of a host page: smaller holes save nothing.
    private const int PageBytes = 4096;

    // Runs that one step looks at, when there is little to copy.
    private const int StepExtents = 256;

    private readonly IDiskLayer _from, _into;
    private readonly IBlockBackend? _stop;
    private byte* _buffer;
    private long _synced;

    /// <summary>Prepares a copy.</summary>
    /// <param name="from">The top of the chain; nobody writes it meanwhile.</param>
    /// <param name="into">A new, empty disk, at least as large.</param>
    /// <param name="stop">The layer of the chain whose content is not copied, nor that of those below; null for all of it.</param>
    public ChainCopy(IDiskLayer from, IDiskLayer into, IBlockBackend? stop = null)
    {
        if (into.LengthBytes < from.LengthBytes) throw new DiskException(into.Path, $"is smaller than {from.Path}");
        (_from, _into, _stop) = (from, into, stop);
        // SAFETY: freed in Dispose; used by Step only, one thread at a time.
        _buffer = (byte*)NativeMemory.AlignedAlloc(StepBytes, PageBytes);
    }

    private enum Content
    {
        Nothing,
        Zeros,
        Data,
    }

    /// <summary>Disk bytes looked at so far.</summary>
    public long DoneBytes { get; private set; }

    /// <summary>Disk bytes to look at.</summary>
    public long TotalBytes => _from.LengthBytes;

    /// <summary>Data bytes copied so far.</summary>
    public long CopiedBytes { get; private set; }

    /// <summary>Copies a bounded part; the last one makes the copy durable.</summary>
    /// <returns>Whether there is more to do.</returns>
    /// <exception cref="IOException">The host failed.</exception>
    public bool Step()
    {
        ObjectDisposedException.ThrowIf(_buffer is null, this);
        for (int extents = 0; DoneBytes < TotalBytes && extents < StepExtents; extents++)
        {
            (Content content, long length) = Look(DoneBytes);
            if (content == Content.Data)
            {
                length = Math.Min(length, StepBytes);
                CopyData(DoneBytes, (int)length);
                DoneBytes += length;
                if (CopiedBytes - _synced >= UnsyncedBytes)
                {
                    _into.Flush();
                    _synced = CopiedBytes;
                }

                return true;
            }

            if (content == Content.Zeros && _stop is not null) _into.WriteZeroes(DoneBytes, length, mayUnmap: true);
            DoneBytes += length;
        }

        if (DoneBytes < TotalBytes) return true;
        _into.Flush();
        return false;
    }

    /// <summary>Ends the copy, done or not.</summary>
    public void Dispose()
    {
        // SAFETY: allocated by the constructor; no step is under way.
        NativeMemory.AlignedFree(_buffer);
        _buffer = null;
    }

    /// <summary>What the chain has at an offset, and for how long the same.</summary>
    private (Content Content, long Length) Look(long offset)
    {
        long length = TotalBytes - offset;
        IBlockBackend? layer = _from;
        while (layer is not null && layer != _stop)
        {
            // A layer that ends earlier reads as zeros from there on, whatever is below it.
            if (offset >= layer.LengthBytes) return (Content.Zeros, length);
            length = Math.Min(length, layer.LengthBytes - offset);
            if (layer is not Qcow2Image image) return (Content.Data, length);
            Extent extent = image.Lookup(offset, length);
            if (extent.Kind == ExtentKind.Zero) return (Content.Zeros, extent.Length);
            if (extent.Kind != ExtentKind.Absent) return (Content.Data, extent.Length);
            length = extent.Length;
            layer = image.Backing;
        }

        return (layer is null ? Content.Zeros : Content.Nothing, length);
    }

    private void CopyData(long offset, int length)
    {
        _from.Read([new IoVec((nint)_buffer, (nuint)length)], offset);
        for (int at = 0; at < length;)
        {
            int start = at;
            bool zeros = _stop is null && IsZeros(at, length);
            do at += PageBytes;
            while (at < length && zeros == (_stop is null && IsZeros(at, length)));
            at = Math.Min(at, length);
            if (zeros) continue;
            _into.Write([new IoVec((nint)_buffer + start, (nuint)(at - start))], offset + start);
            CopiedBytes += at - start;
        }
    }

    // SAFETY: inside the buffer, of which a step has filled that much.
    private bool IsZeros(int at, int length) =>
        !new ReadOnlySpan<byte>(_buffer + at, Math.Min(PageBytes, length - at)).ContainsAnyExcept((byte)0);
}
