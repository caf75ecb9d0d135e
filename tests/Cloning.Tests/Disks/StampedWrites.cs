using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Kvm.Interop;
using VirtioBlk;
using Xunit;

namespace Cloning.Tests.Disks;

/// <summary>
/// A reproducible stream of writes whose sectors tell which write they are from, and what a disk may hold after a crash in it: for
/// each sector what it held at the last flush, or anything written since.
/// </summary>
internal sealed unsafe class StampedWrites(int seed, int firstStamp)
{
    private const int Sectors = ChainRig.DiskBytes / 512, MaxSectors = 256, WritesPerFlush = 8;

    private readonly Random _random = new(seed);
    private readonly byte[] _buffer = new byte[MaxSectors * 512];

    public int Last { get; private set; } = firstStamp - 1;

    /// <summary>Does the next write.</summary>
    /// <returns>Whether it was followed by a flush.</returns>
    public bool Next(IBlockBackend disk)
    {
        (int first, int count) = Choose();
        MemoryMarshal.Cast<byte, int>(_buffer.AsSpan(0, count * 512)).Fill(Last);
        // SAFETY: pinned during the call and as long as told.
        fixed (byte* at = _buffer) disk.Write([new IoVec((nint)at, (nuint)(count * 512))], first * 512L);
        if (Last % WritesPerFlush != 0) return false;
        disk.Flush();
        return true;
    }

    /// <summary>Asserts that a disk holds what it may hold.</summary>
    /// <param name="before">The disk before the stream.</param>
    /// <param name="after">The disk now.</param>
    /// <param name="flushed">The last write that is known to be flushed, or 0.</param>
    public void AssertHolds(byte[] before, byte[] after, int flushed)
    {
        int[] least = new int[Sectors];
        List<int>?[] later = new List<int>?[Sectors];
        for (int i = 0; i < Sectors; i++) least[i] = Stamp(before, i);
        // One flush more may have happened than was said, and writes up to the one after it.
        int end = Math.Max(flushed, Last) + (2 * WritesPerFlush);
        while (Last < end)
        {
            (int first, int count) = Choose();
            for (int i = first; i < first + count; i++)
            {
                if (Last <= flushed) least[i] = Last;
                else (later[i] ??= []).Add(Last);
            }
        }

        for (int i = 0; i < Sectors; i++)
        {
            int stamp = Stamp(after, i);
            Assert.False(
                MemoryMarshal.Cast<byte, int>(after.AsSpan(i * 512, 512)).ContainsAnyExcept(stamp), $"sector {i} is torn");
            Assert.True(
                stamp == least[i] || later[i]?.Contains(stamp) == true,
                $"sector {i} holds {stamp}; it held {least[i]}, then {string.Join(", ", later[i] ?? [])}");
        }
    }

    private static int Stamp(byte[] disk, int sector) => BinaryPrimitives.ReadInt32LittleEndian(disk.AsSpan(sector * 512));

    private (int First, int Count) Choose()
    {
        Last++;
        int first = _random.Next(Sectors);
        return (first, Math.Min(_random.Next(1, MaxSectors), Sectors - first));
    }
}
