using System.Runtime.InteropServices;
using Kvm.Interop;

namespace VirtioBlk.Store;

/// <summary>Walks a vector list in pieces that do not end where the vectors do.</summary>
/// <param name="vectors">The list.</param>
/// <param name="scratch">As long as <paramref name="vectors"/>: where a piece is put that splits a vector.</param>
internal unsafe ref struct IoVecCursor(ReadOnlySpan<IoVec> vectors, Span<IoVec> scratch)
{
    /// <summary>Lists up to this length get their scratch space from the stack.</summary>
    public const int OnStack = 64;

    private readonly ReadOnlySpan<IoVec> _vectors = vectors;
    private readonly Span<IoVec> _scratch = scratch;
    private int _index;
    private nuint _skip;

    /// <summary>The next <paramref name="length"/> bytes. Valid until the next call.</summary>
    public ReadOnlySpan<IoVec> Take(long length)
    {
        int first = _index;
        nuint skipped = _skip;
        nuint left = (nuint)length;
        while (left > 0)
        {
            nuint here = _vectors[_index].Length - _skip;
            if (here > left)
            {
                _skip += left;
                break;
            }

            left -= here;
            _skip = 0;
            _index++;
        }

        int count = _index - first + (left > 0 ? 1 : 0);
        ReadOnlySpan<IoVec> piece = _vectors.Slice(first, count);
        if (count == 0 || (skipped == 0 && left == 0)) return piece;

        piece.CopyTo(_scratch);
        // The last vector is cut first: with only one, the cut start belongs to what is left of it.
        if (left > 0) _scratch[count - 1] = _scratch[count - 1] with { Length = count == 1 ? skipped + left : left };
        _scratch[0] = new IoVec(_scratch[0].Base + (nint)skipped, _scratch[0].Length - skipped);
        return _scratch[..count];
    }

    /// <summary>Sum of the vectors' lengths.</summary>
    public static long TotalBytes(ReadOnlySpan<IoVec> vectors)
    {
        long total = 0;
        foreach (IoVec vector in vectors) total += (long)vector.Length;
        return total;
    }

    /// <summary>Fills all bytes from others, of which there are as many or more.</summary>
    public static void Fill(ReadOnlySpan<IoVec> vectors, ReadOnlySpan<byte> bytes)
    {
        foreach (IoVec vector in vectors)
        {
            // SAFETY: as in Clear.
            bytes[..(int)vector.Length].CopyTo(new Span<byte>((void*)vector.Base, (int)vector.Length));
            bytes = bytes[(int)vector.Length..];
        }
    }

    /// <summary>Fills all bytes with zeros.</summary>
    public static void Clear(ReadOnlySpan<IoVec> vectors)
    {
        // SAFETY: the caller of the I/O method vouches for the memory its vectors name.
        foreach (IoVec vector in vectors) NativeMemory.Clear((void*)vector.Base, vector.Length);
    }

    /// <summary>Fills all bytes after the first <paramref name="done"/> with zeros.</summary>
    public static void ClearAfter(ReadOnlySpan<IoVec> vectors, long done)
    {
        foreach (IoVec vector in vectors)
        {
            long skip = Math.Min(done, (long)vector.Length);
            done -= skip;
            // SAFETY: as in Clear; skip is at most the vector's length.
            NativeMemory.Clear((byte*)vector.Base + skip, vector.Length - (nuint)skip);
        }
    }
}
