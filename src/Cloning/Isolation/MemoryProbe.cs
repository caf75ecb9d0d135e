using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Cloning.Isolation;

/// <summary>
/// Asks how long memory takes to answer now. Each line it reads is first written past the caches, which throws it out of all of
/// them, and each holds the address of the next: one access at a time, and no prefetcher knows where.
/// </summary>
/// <remarks>One thread at a time.</remarks>
internal sealed unsafe class MemoryProbe : IDisposable
{
    private const int LineBytes = 64, Lines = 4096, BatchLines = 64;

    private readonly byte* _memory;
    private readonly int[] _order = new int[Lines];
    private int _next;
    private byte* _last;

    /// <summary>Makes one, with 256 KiB of its own.</summary>
    /// <exception cref="OutOfMemoryException">There are none.</exception>
    public MemoryProbe()
    {
        // SAFETY: freed by Dispose, and never left: _order has each line once.
        _memory = (byte*)NativeMemory.AlignedAlloc(Lines * LineBytes, LineBytes);
        for (int i = 0; i < Lines; i++) _order[i] = i;
        new Random(1).Shuffle(_order);
    }

    /// <summary>Measures 64 accesses, some 10 µs.</summary>
    /// <returns>Nanoseconds an access.</returns>
    public double Measure() => Read(Evict());

    /// <summary>The same lines once more, out of the caches: what there is to compare with.</summary>
    internal double MeasureCached()
    {
        byte* first = Evict();
        Read(first);
        return Read(first);
    }

    /// <inheritdoc/>
    public void Dispose() => NativeMemory.AlignedFree(_memory);

    /// <summary>Chains the next batch of lines, in memory alone.</summary>
    private byte* Evict()
    {
        byte* first = LineAt(_next);
        for (int i = 0; i < BatchLines; i++)
        {
            byte* line = LineAt(_next);
            _next = (_next + 1) % Lines;
            Vector128<ulong> next = Vector128.Create((ulong)LineAt(_next));
            // The whole line: a part of it would be merged with what a cache has.
            for (int at = 0; at < LineBytes; at += Vector128<byte>.Count) Sse2.StoreAlignedNonTemporal((ulong*)(line + at), next);
        }

        Sse2.MemoryFence();
        return first;
    }

    private double Read(byte* line)
    {
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < BatchLines; i++) line = *(byte**)line;
        double took = Stopwatch.GetElapsedTime(start).TotalNanoseconds;
        _last = line; // so that nothing of this can be left out
        return took / BatchLines;
    }

    private byte* LineAt(int position) => _memory + (_order[position % Lines] * LineBytes);
}
