using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Memory;

/// <summary>Work that waits for memory and for nothing else. Each works through blocks until it is told to end.</summary>
internal static unsafe class Streams
{
    /// <summary>Larger than the last cache of most processors.</summary>
    private const nuint Bytes = 512 << 20;
    private const nuint BlockBytes = 1 << 20, LineBytes = 64;

    // A foreground works and rests in turn, as servers do: one that has a processor to itself leaves none to look from on two.
    private static readonly TimeSpan s_turn = TimeSpan.FromMilliseconds(5);

    /// <summary>Copies, half of the time.</summary>
    /// <param name="goesOn">Asked before each block.</param>
    /// <returns>MiB a second of work.</returns>
    public static double Copy(Func<bool> goesOn)
    {
        byte* from = Allocate(), to = Allocate();
        double rate = Blocks(goesOn, restless: false, at => Buffer.MemoryCopy(from + at, to + at, BlockBytes, BlockBytes));
        NativeMemory.AlignedFree(from);
        NativeMemory.AlignedFree(to);
        return rate;
    }

    /// <summary>Reads a line here and a line there, each found in the one before, half of the time.</summary>
    /// <inheritdoc cref="Copy"/>
    public static double Chase(Func<bool> goesOn)
    {
        byte* memory = Allocate();
        int[] order = [.. Enumerable.Range(0, (int)(Bytes / LineBytes))];
        new Random(1).Shuffle(order);
        for (int i = 0; i < order.Length; i++) *(byte**)(memory + ((nuint)order[i] * LineBytes)) = memory + ((nuint)order[(i + 1) % order.Length] * LineBytes);
        byte* at = memory;
        double rate = Blocks(goesOn, restless: false, _ =>
        {
            for (nuint i = 0; i < BlockBytes / LineBytes; i++) at = *(byte**)at;
        });
        NativeMemory.AlignedFree(memory);
        return rate;
    }

    /// <summary>Writes past the caches, what is not zero: of all that was tried nothing else is so much in others' way.</summary>
    /// <inheritdoc cref="Copy"/>
    public static double Write(Func<bool> goesOn)
    {
        byte* memory = Allocate();
        double rate = Blocks(goesOn, restless: true, at =>
        {
            for (nuint i = 0; i < BlockBytes; i += (nuint)Vector128<byte>.Count) Sse2.StoreAlignedNonTemporal(memory + at + i, Vector128.Create((byte)(at / BlockBytes | 1)));
        });
        NativeMemory.AlignedFree(memory);
        return rate;
    }

    private static double Blocks(Func<bool> goesOn, bool restless, Action<nuint> block)
    {
        TimeSpan work = TimeSpan.Zero, turn = TimeSpan.Zero;
        long blocks = 0;
        for (; goesOn(); blocks++)
        {
            long start = Stopwatch.GetTimestamp();
            block((nuint)blocks % (Bytes / BlockBytes) * BlockBytes);
            turn += Stopwatch.GetElapsedTime(start);
            if (restless || turn < s_turn) continue;
            work += turn;
            turn = TimeSpan.Zero;
            Thread.Sleep(s_turn);
        }

        return blocks / (work + turn).TotalSeconds;
    }

    // SAFETY: all accesses are within Bytes, and nobody keeps the pointer after it is freed.
    private static byte* Allocate()
    {
        byte* memory = (byte*)NativeMemory.AlignedAlloc(Bytes, LineBytes);
        NativeMemory.Fill(memory, Bytes, 1);
        return memory;
    }
}
