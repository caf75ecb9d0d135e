using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace VirtioBlk.Store.Tests;

/// <summary>
/// A reproducible stream of guest operations, and what a disk may hold after a crash in the middle of it: what was last
/// flushed, or anything written since, sector by sector.
/// </summary>
/// <param name="diskBytes">Size of the disk.</param>
/// <param name="clusterBytes">Size of a cluster: what a discard takes.</param>
/// <param name="seed">Which stream.</param>
/// <param name="flushOneIn">Operations for each flush, on average.</param>
internal sealed class CrashWorkload(int diskBytes, int clusterBytes, int seed, int flushOneIn = 12)
{
    private readonly Random _random = new(seed);

    // For each sector, the stamps it may hold; the first one is what was there at the last flush. 0 is a sector of
    // zeros.
    private readonly List<int>[] _allowed = [.. Enumerable.Range(0, diskBytes / 512).Select(_ => new List<int> { 0 })];
    private int _operation;

    /// <summary>Does the next operation on a disk, or only in the mind if there is none.</summary>
    /// <returns>Whether it was a flush: <see cref="Settle"/> once it is known to have succeeded.</returns>
    public bool Next(IBlockBackend? disk)
    {
        _operation++;
        int first = _random.Next(_allowed.Length);
        int count = Math.Min(_random.Next(4) == 0 ? _random.Next(1, 4 * clusterBytes / 512 + 64) : _random.Next(1, 24),
            _allowed.Length - first);
        if (_random.Next(flushOneIn) == 0)
        {
            disk?.Flush();
            return true;
        }

        switch (_random.Next(11))
        {
            case 1:
                // Whole clusters: parts of them would keep their content.
                first = first * 512 / clusterBytes * (clusterBytes / 512);
                count = Math.Min(clusterBytes / 512 * _random.Next(1, 4), _allowed.Length - first);
                Note(first, count, 0);
                disk?.Discard(first * 512L, count * 512L);
                return false;
            case 2:
                Note(first, count, 0);
                disk?.WriteZeroes(first * 512L, count * 512L, mayUnmap: _operation % 2 == 0);
                return false;
            default:
                byte[] bytes = new byte[count * 512];
                for (int i = 0; i < count; i++) Stamp(bytes.AsSpan(i * 512, 512), _operation);
                Note(first, count, _operation);
                disk?.WriteBytes(first * 512L, bytes);
                return false;
        }
    }

    /// <summary>Begins on a disk that another stream has left behind.</summary>
    public void StartFrom(byte[] content)
    {
        for (int i = 0; i < _allowed.Length; i++)
            _allowed[i] = [BinaryPrimitives.ReadInt32LittleEndian(content.AsSpan(i * 512))];
    }

    /// <summary>Everything so far is durable.</summary>
    public void Settle()
    {
        foreach (List<int> stamps in _allowed) stamps.RemoveRange(0, stamps.Count - 1);
    }

    /// <summary>Asserts that a disk holds in every sector something it may hold.</summary>
    public void AssertHolds(byte[] content, string what)
    {
        Assert.Equal(diskBytes, content.Length);
        for (int i = 0; i < _allowed.Length; i++)
        {
            ReadOnlySpan<byte> sector = content.AsSpan(i * 512, 512);
            int stamp = BinaryPrimitives.ReadInt32LittleEndian(sector);
            if (MemoryMarshal.Cast<byte, int>(sector).ContainsAnyExcept(stamp))
                Assert.Fail($"{what}: sector {i} is torn");
            if (!_allowed[i].Contains(stamp))
                Assert.Fail($"{what}: sector {i} holds {stamp}, may hold {string.Join(", ", _allowed[i])}");
        }
    }

    private static void Stamp(Span<byte> sector, int stamp) => MemoryMarshal.Cast<byte, int>(sector).Fill(stamp);

    private void Note(int first, int count, int stamp)
    {
        for (int i = first; i < first + count; i++) _allowed[i].Add(stamp);
    }
}
