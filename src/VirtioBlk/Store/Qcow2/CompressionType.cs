namespace VirtioBlk.Store.Qcow2;

/// <summary>How compressed clusters are stored (qcow2 specification, "compression_type").</summary>
internal enum CompressionType : byte
{
    /// <summary>Deflate without zlib's header and checksum.</summary>
    Zlib = 0,
    /// <summary>A Zstandard frame.</summary>
    Zstd = 1,
}
