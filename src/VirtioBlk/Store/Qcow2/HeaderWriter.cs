using Kvm.Interop;

namespace VirtioBlk.Store.Qcow2;

/// <summary>Writes parts of an image's header.</summary>
internal static unsafe class HeaderWriter
{
    /// <summary>
    /// Clears the autoclear feature bits: whoever set them must know that a writer was here that does not keep their
    /// promise.
    /// </summary>
    public static void ClearAutoClear(IHostFile file, Header header)
    {
        Span<byte> bits = header.Fixed.AsSpan(Header.AutoClearField, sizeof(ulong));
        bits.Clear();
        Write(file, bits, Header.AutoClearField);
        file.Sync();
    }

    /// <summary>Writes bytes that lie in one sector, or that nothing refers to yet.</summary>
    public static void Write(IHostFile file, ReadOnlySpan<byte> bytes, long offset)
    {
        fixed (byte* at = bytes)
        {
            // SAFETY: the memory is pinned during the call and as long as told.
            file.Write([new IoVec((nint)at, (nuint)bytes.Length)], offset);
        }
    }
}
