using System.IO.Compression;
using ZstdSharp;
using ZstdSharp.Unsafe;

namespace VirtioBlk.Store.Qcow2;

/// <summary>Expands compressed clusters. What the image says bounds neither the memory nor the time this takes.</summary>
internal static unsafe class Decompressor
{
    // Twice a cluster of the largest size: a compressor has no use for a larger window.
    private const int MaxZstdWindowLog = Geometry.MaxClusterBits + 1;

    /// <summary>Expands one cluster.</summary>
    /// <param name="type">How it is stored.</param>
    /// <param name="stored">The compressed bytes, and whatever follows them in their last sector.</param>
    /// <param name="cluster">Where to put it; as long as a cluster.</param>
    /// <returns>False if the bytes are not a compressed cluster.</returns>
    public static bool TryExpand(CompressionType type, ReadOnlySpan<byte> stored, Span<byte> cluster)
    {
        try
        {
            fixed (byte* at = stored)
            {
                // SAFETY: the stream ends with this method, the memory is pinned until then and as long as told.
                using UnmanagedMemoryStream source = new(at, stored.Length);
                using Stream expanded = type == CompressionType.Zstd ? Zstd(source) : Inflate(source);
                expanded.ReadExactly(cluster);
                return true;
            }
        }
        catch (Exception e) when (e is InvalidDataException or EndOfStreamException or ZstdException)
        {
            return false;
        }
    }

    private static DeflateStream Inflate(Stream source) => new(source, CompressionMode.Decompress);

    private static DecompressionStream Zstd(Stream source)
    {
        DecompressionStream stream = new(source);
        stream.SetParameter(ZSTD_dParameter.ZSTD_d_windowLogMax, MaxZstdWindowLog);
        return stream;
    }
}
