using System.Numerics;

namespace CowMemory;

/// <summary>A set of pages, by offset in the memory file. Marking is lock-free and may come from any thread.</summary>
/// <param name="sizeBytes">Size of the memory it covers, bytes.</param>
public sealed class DirtyPages(ulong sizeBytes)
{
    private readonly ulong[] _words = new ulong[((sizeBytes / MemoryLayout.PageSize) + 63) / 64];

    /// <summary>How many pages are in the set.</summary>
    public long Count
    {
        get
        {
            long count = 0;
            foreach (ulong word in _words) count += BitOperations.PopCount(word);
            return count;
        }
    }

    /// <summary>The bitmap, a bit a page, lowest first: the layout KVM_GET_DIRTY_LOG fills.</summary>
    public Span<ulong> Words => _words;

    /// <summary>Adds every page that the range touches.</summary>
    /// <param name="offset">Offset in the memory file, bytes.</param>
    /// <param name="length">Bytes; 0 adds nothing.</param>
    public void Mark(ulong offset, ulong length)
    {
        if (length == 0) return;
        ulong last = (offset + length - 1) / MemoryLayout.PageSize;
        for (ulong page = offset / MemoryLayout.PageSize; page <= last; page++)
            Interlocked.Or(ref _words[page / 64], 1UL << (int)(page % 64));
    }

    /// <summary>Takes a set's pages over into this one and empties it.</summary>
    public void TakeFrom(DirtyPages other)
    {
        for (int i = 0; i < _words.Length; i++)
        {
            ulong taken = Interlocked.Exchange(ref other._words[i], 0);
            if (taken != 0) Interlocked.Or(ref _words[i], taken);
        }
    }
}
