using System.Runtime.InteropServices;

namespace VirtioBlk.Store.Tests;

/// <summary>
/// Which write a sector may hold while many threads write: requests that overlap in time have no order, all others do.
/// </summary>
/// <remarks>A sector holds one number, its stamp, over and over; 0 is a sector of zeros.</remarks>
internal sealed class SectorHistory
{
    private readonly Lock _lock = new();
    private readonly List<Change>[] _changes;
    private int _clock;
    private int _stamp;

    /// <summary>Begins with a disk that holds in each sector what is given.</summary>
    public SectorHistory(int[] stamps)
    {
        _changes = [.. stamps.Select(stamp => new List<Change> { new(stamp, 0, true) { End = 0 } })];
        _stamp = stamps.Max();
    }

    /// <summary>A change under way or done.</summary>
    /// <param name="Stamp">What it leaves.</param>
    /// <param name="Begin">When it began.</param>
    /// <param name="IsSure">It replaces what was there; a discard need not.</param>
    public sealed record Change(int Stamp, int Begin, bool IsSure)
    {
        /// <summary>When it had ended.</summary>
        public int End { get; set; } = int.MaxValue;
    }

    public int Sectors => _changes.Length;

    /// <summary>A number no write has used.</summary>
    public int NewStamp() => Interlocked.Increment(ref _stamp);

    /// <summary>A change begins.</summary>
    public Change Begin(int first, int count, int stamp, bool isSure = true)
    {
        lock (_lock)
        {
            Change change = new(stamp, ++_clock, isSure);
            foreach (List<Change> sector in _changes.AsSpan(first, count)) sector.Add(change);
            return change;
        }
    }

    /// <summary>A change has returned.</summary>
    public void End(Change change)
    {
        lock (_lock) change.End = ++_clock;
    }

    /// <summary>The time, for a read that begins.</summary>
    public int Now()
    {
        lock (_lock) return ++_clock;
    }

    /// <summary>Asserts that a read that began at some time and has just returned saw what it may have seen.</summary>
    /// <param name="first">First sector.</param>
    /// <param name="bytes">What was read.</param>
    /// <param name="begin">When it began.</param>
    /// <param name="what">For the message.</param>
    public void AssertMayRead(int first, ReadOnlySpan<byte> bytes, int begin, string what)
    {
        lock (_lock)
        {
            int end = ++_clock;
            for (int i = 0; i < bytes.Length / 512; i++)
            {
                ReadOnlySpan<int> words = MemoryMarshal.Cast<byte, int>(bytes.Slice(i * 512, 512));
                Assert.True(MayHold(first + i, words[0], begin, end),
                    $"{what}: sector {first + i} holds {words[0]} at {end}: {string.Join("; ", _changes[first + i].TakeLast(6))}");
                // The host moves bytes, not sectors: a read may see half of a write that is under way.
                int other = words.IndexOfAnyExcept(words[0]);
                if (other >= 0)
                    Assert.True(MayHold(first + i, words[other], begin, end), $"{what}: sector {first + i} is torn");
            }
        }
    }

    private bool MayHold(int sector, int stamp, int begin, int end)
    {
        int latest = 0;
        foreach (Change change in _changes[sector])
            if (change.IsSure && change.End < begin) latest = Math.Max(latest, change.Begin);
        return _changes[sector].Exists(c => c.Stamp == stamp && c.Begin <= end && c.End >= latest);
    }
}
