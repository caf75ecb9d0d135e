using System.Runtime.InteropServices;
using Kvm.Interop;

namespace VirtioBlk.Store;

/// <summary>Zeros to write from: one page of memory, named as often as needed.</summary>
internal static unsafe class Zeros
{
    /// <summary>Zero bytes one vector can name.</summary>
    public const int PageBytes = 64 << 10;

    private const int MaxVectors = 32;

    private static readonly nint s_page = Allocate();

    /// <summary>Writes zeros into a file.</summary>
    public static void WriteZeros(this IHostFile file, long offset, long length)
    {
        Span<IoVec> vectors = stackalloc IoVec[MaxVectors];
        while (length > 0)
        {
            ReadOnlySpan<IoVec> piece = Vectors(length, vectors);
            file.Write(piece, offset);
            long written = IoVecCursor.TotalBytes(piece);
            offset += written;
            length -= written;
        }
    }

    private static nint Allocate()
    {
        void* page = NativeMemory.AlignedAlloc(PageBytes, 4096); // a file open for I/O past the page cache wants that
        // SAFETY: allocated once, zeroed here, never written again, never freed.
        NativeMemory.Clear(page, PageBytes);
        return (nint)page;
    }

    /// <summary>
    /// Vectors over at most <paramref name="length"/> zero bytes: all of them, or as many as fit into <paramref
    /// name="space"/>.
    /// </summary>
    public static ReadOnlySpan<IoVec> Vectors(long length, Span<IoVec> space)
    {
        int count = 0;
        for (; length > 0 && count < space.Length; count++)
        {
            nuint part = (nuint)Math.Min(length, PageBytes);
            space[count] = new IoVec(s_page, part);
            length -= (long)part;
        }

        return space[..count];
    }
}
