using System.Collections.Concurrent;
using System.Runtime.InteropServices;

namespace VirtioBlk.Store.Qcow2;

/// <summary>Memory of one size, for cluster contents: as many pieces as threads need at once.</summary>
/// <param name="bytes">Size of a piece.</param>
internal sealed unsafe class BufferPool(int bytes) : IDisposable
{
    private readonly ConcurrentBag<nint> _free = [];

    /// <summary>A piece, to be returned to <see cref="Return"/>.</summary>
    // SAFETY: freed in Dispose.
    public nint Rent() => _free.TryTake(out nint piece) ? piece : (nint)NativeMemory.AlignedAlloc((nuint)bytes, 4096);

    /// <summary>Takes a piece back.</summary>
    public void Return(nint piece) => _free.Add(piece);

    /// <inheritdoc/>
    public void Dispose()
    {
        // SAFETY: allocated by Rent; nobody has rented any now.
        while (_free.TryTake(out nint piece)) NativeMemory.AlignedFree((void*)piece);
    }
}
