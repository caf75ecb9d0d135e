using System.Numerics;
using CowMemory;
using Kvm.Interop;
using VirtioBlk.Turns;
using Vmm.Machines;

namespace Cloning.After;

/// <summary>Copies guest memory between two machines of the same size in this process.</summary>
internal static unsafe class PageCopy
{
    private const ulong PagemapPresent = 1UL << 63, PagemapSwapped = 1UL << 62;
    private const int PagesAtOnce = 4096;
    private const long StretchBytes = 16 << 20; // some milliseconds

    /// <summary>
    /// Copies every page that can hold something: what the file has, and what the private view has copied. Reading the rest
    /// would allocate it.
    /// </summary>
    /// <param name="from">From where.</param>
    /// <param name="into">To where.</param>
    /// <param name="turns">Asked before every stretch: memory is not in short supply, but what it takes to copy it may be.</param>
    /// <param name="mayGiveUp">Called before every stretch; throws to give up.</param>
    public static void All(Machine from, Machine into, IDiskTurns turns, Action mayGiveUp)
    {
        long size = (long)from.File.SizeBytes;
        using SafeFd pagemap = new(Libc.open("/proc/self/pagemap", Libc.O_RDONLY | Libc.O_CLOEXEC, 0));
        if (pagemap.IsInvalid) throw LibcException.FromLastError("open", "/proc/self/pagemap");
        for (long at = 0; at < size;)
        {
            bool more = from.File.TryNextData(at, out long data, out long hole);
            CopyTouched(from, into, pagemap, at, data, mayGiveUp);
            if (!more) break;
            for (at = data; at < hole; at += StretchBytes)
            {
                mayGiveUp();
                turns.Enter();
                Copy(from, into, at, Math.Min(StretchBytes, hole - at));
                turns.Leave();
            }

            at = hole;
        }
    }

    /// <summary>Copies pages of a set, taking them out of it.</summary>
    /// <param name="from">From where.</param>
    /// <param name="into">To where.</param>
    /// <param name="pages">The set.</param>
    /// <param name="atOnce">After this many pages it stops; up to 63 more are copied.</param>
    /// <returns>Whether any are left.</returns>
    public static bool Some(Machine from, Machine into, DirtyPages pages, long atOnce)
    {
        Span<ulong> words = pages.Words;
        long copied = 0;
        for (int i = 0; i < words.Length; i++)
        {
            if (copied >= atOnce && words[i] != 0) return true;
            copied += BitOperations.PopCount(words[i]);
            for (ulong word = words[i]; word != 0; word &= word - 1)
            {
                long page = (i * 64L) + BitOperations.TrailingZeroCount(word);
                Copy(from, into, page * (long)MemoryLayout.PageSize, (long)MemoryLayout.PageSize);
            }

            words[i] = 0;
        }

        return false;
    }

    private static void CopyTouched(Machine from, Machine into, SafeFd pagemap, long start, long end, Action mayGiveUp)
    {
        ulong* entries = stackalloc ulong[PagesAtOnce];
        const long page = (long)MemoryLayout.PageSize;
        for (long at = start; at < end; at += PagesAtOnce * page)
        {
            mayGiveUp();
            long count = Math.Min(PagesAtOnce, (end - at) / page);
            long index = (from.Memory.HostAddress + at) / page;
            // SAFETY: at most PagesAtOnce entries of 8 bytes are asked for.
            if (Libc.pread(pagemap.Fd, entries, (nuint)(count * sizeof(ulong)), index * sizeof(ulong)) != count * sizeof(ulong))
                throw LibcException.FromLastError("pread", "/proc/self/pagemap");
            for (long i = 0; i < count; i++)
                if ((entries[i] & (PagemapPresent | PagemapSwapped)) != 0) Copy(from, into, at + (i * page), page);
        }
    }

    // SAFETY: both mappings are of the same size and outlive the copy; offsets are inside them.
    private static void Copy(Machine from, Machine into, long offset, long length) =>
        Buffer.MemoryCopy(
            (byte*)from.Memory.HostAddress + offset, (byte*)into.Memory.HostAddress + offset, length, length);
}
