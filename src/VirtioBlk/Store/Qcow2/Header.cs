using System.Buffers.Binary;
using System.Text;
using Kvm.Interop;

namespace VirtioBlk.Store.Qcow2;

/// <summary>The header of an image, read and checked (qcow2 specification, "Header" and "Header extensions").</summary>
internal sealed class Header
{
    public const uint Magic = 0x514649FB;
    public const int Version2Bytes = 72;
    public const int Version3Bytes = 104;

    /// <summary>Offset of the autoclear feature bits.</summary>
    public const int AutoClearField = 88;

    /// <summary>Offset of the refcount table's place and size: 12 bytes.</summary>
    public const int RefTableField = 48;

    /// <summary>Offset of the compression type, in headers that are long enough to have it.</summary>
    private const int CompressionField = 104;

    /// <summary>Longest backing file name the specification allows, in bytes.</summary>
    public const int MaxBackingNameBytes = 1023;

    // As QEMU writes it since 5.1: with the compression type, 0, and padding.
    private const int NewHeaderBytes = 112;
    private const uint BackingFormatExtension = 0xE2792ACA;
    private const uint FeatureNameExtension = 0x6803F857;

    private readonly string _path;

    private Header(string path, byte[] bytes, Geometry geometry)
    {
        _path = path;
        Fixed = bytes;
        Geometry = geometry;
    }

    public Geometry Geometry { get; }

    public int Version { get; private init; }

    public long DiskBytes { get; private init; }

    public long L1Offset { get; private init; }

    public int L1Entries { get; private init; }

    public ulong Incompatible { get; private init; }

    public ulong AutoClear { get; private init; }

    public CompressionType Compression { get; private init; }

    public int RefcountOrder { get; private init; }

    public int Snapshots { get; private init; }

    public long RefTableOffset { get; set; }

    public int RefTableClusters { get; set; }

    /// <summary>The name as it stands in the image, or null.</summary>
    public string? BackingName { get; private set; }

    /// <summary>The backing file's format as it stands in the image, or null.</summary>
    public string? BackingFormat { get; private set; }

    /// <summary>Where the name is, from <see cref="BackingNameStart"/> to here; or 0.</summary>
    public long BackingNameEnd { get; private set; }

    /// <summary>Where the name begins, or 0.</summary>
    public long BackingNameStart { get; private set; }

    /// <summary>The header proper, without extensions.</summary>
    public byte[] Fixed { get; }

    /// <summary>Extensions that are kept as they are when the header is written again.</summary>
    public byte[] OtherExtensions { get; private set; } = [];

    /// <summary>Whether a range touches metadata whose place is in the header; guest data never does.</summary>
    public bool Covers(long offset, long length) =>
        offset < Geometry.ClusterBytes
        || Overlap(offset, length, L1Offset, L1Entries * 8L)
        || Overlap(offset, length, RefTableOffset, (long)RefTableClusters << Geometry.ClusterBits);

    public DiskException Corrupt(string problem) => new(_path, $"corrupt: {problem}");

    /// <summary>Reads and checks the header.</summary>
    /// <exception cref="DiskException">
    /// It is not a qcow2 image, is damaged, or needs something this program lacks.
    /// </exception>
    public static Header Read(IHostFile file)
    {
        long fileBytes = file.LengthBytes;
        byte[] start = ReadBytes(file, (int)Math.Min(fileBytes, Version3Bytes));
        DiskException Bad(string problem) => new(file.Path, problem);
        uint U32(int at) => BinaryPrimitives.ReadUInt32BigEndian(start.AsSpan(at));
        ulong U64(int at) => BinaryPrimitives.ReadUInt64BigEndian(start.AsSpan(at));

        if (start.Length < Version2Bytes || U32(0) != Magic) throw Bad("not a qcow2 image");
        uint version = U32(4);
        if (version is not (2 or 3)) throw Bad($"qcow2 version {version} is not supported (2 and 3 are)");
        if (version == 3 && start.Length < Version3Bytes) throw Bad("corrupt: the header is cut short");
        uint headerBytes = version == 2 ? Version2Bytes : U32(100);
        uint clusterBits = U32(20);
        if (clusterBits is < Geometry.MinClusterBits or > Geometry.MaxClusterBits)
            throw Bad($"a cluster size of 2^{clusterBits} bytes is not supported (2^9 to 2^21 are)");
        if (headerBytes < (version == 2 ? Version2Bytes : Version3Bytes)
            || headerBytes % 8 != 0
            || headerBytes > 1u << (int)clusterBits)
            throw Bad($"corrupt: a header of {headerBytes} bytes");

        byte[] cluster = ReadBytes(file, (int)Math.Min(fileBytes, 1 << (int)clusterBits));
        if (headerBytes > cluster.Length) throw Bad("corrupt: the header is cut short");
        ulong incompatible = version == 2 ? 0 : U64(72);
        Geometry geometry = new((int)clusterBits, (incompatible & Features.ExtendedL2) != 0);
        Header header = new(file.Path, cluster[..(int)headerBytes], geometry)
        {
            Version = (int)version,
            DiskBytes = (long)U64(24),
            L1Entries = (int)U32(36),
            L1Offset = (long)U64(40),
            RefTableOffset = (long)U64(48),
            RefTableClusters = (int)U32(56),
            Snapshots = (int)U32(60),
            Incompatible = incompatible,
            Compression = headerBytes > CompressionField ? (CompressionType)cluster[CompressionField] : default,
            AutoClear = version == 2 ? 0 : U64(88),
            RefcountOrder = version == 2 ? 4 : (int)U32(96),
        };

        if (Features.Unusable(header, U32(32)) is { } feature) throw Bad(feature);
        header.CheckTables(fileBytes);
        header.ReadExtensions(cluster, (long)U64(8), U32(16));
        return header;
    }

    /// <summary>The header of an image that is about to be made.</summary>
    public static Header ForNew(
        string path,
        int clusterBits,
        long diskBytes,
        long l1Offset,
        long l1Entries,
        long refTableOffset,
        long refTableClusters)
    {
        byte[] bytes = new byte[NewHeaderBytes];
        Span<byte> span = bytes;
        BinaryPrimitives.WriteUInt32BigEndian(span, Magic);
        BinaryPrimitives.WriteInt32BigEndian(span[4..], 3);
        BinaryPrimitives.WriteInt32BigEndian(span[20..], clusterBits);
        BinaryPrimitives.WriteInt64BigEndian(span[24..], diskBytes);
        BinaryPrimitives.WriteInt32BigEndian(span[36..], (int)l1Entries);
        BinaryPrimitives.WriteInt64BigEndian(span[40..], l1Offset);
        BinaryPrimitives.WriteInt32BigEndian(span[96..], 4);
        BinaryPrimitives.WriteInt32BigEndian(span[100..], NewHeaderBytes);
        return new Header(path, bytes, new Geometry(clusterBits))
        {
            Version = 3,
            DiskBytes = diskBytes,
            L1Offset = l1Offset,
            L1Entries = (int)l1Entries,
            RefcountOrder = 4,
            RefTableOffset = refTableOffset,
            RefTableClusters = (int)refTableClusters,
        };
    }

    /// <summary>
    /// The first bytes of the image as they are to be: header, extensions and, if it fits, the backing file's name.
    /// </summary>
    /// <param name="name">The backing file's name, or null for none.</param>
    /// <param name="format">Its format, or null for none.</param>
    /// <param name="limit">Bytes to fit into; the result has this length.</param>
    /// <param name="nameStart">Where the name is if it does not fit; where it has been put if it does.</param>
    /// <returns>The bytes, or null if even the rest does not fit.</returns>
    public byte[]? Build(byte[]? name, string? format, int limit, ref long nameStart)
    {
        using MemoryStream stream = new();
        stream.Write(Fixed);
        if (format is not null) WriteExtension(stream, BackingFormatExtension, Encoding.UTF8.GetBytes(format));
        stream.Write(OtherExtensions);
        stream.Write(stackalloc byte[8]);
        if (name is null) nameStart = 0;
        else if (stream.Length + name.Length <= limit)
        {
            nameStart = stream.Length;
            stream.Write(name);
        }

        if (stream.Length > limit) return null;
        byte[] bytes = new byte[limit];
        stream.ToArray().CopyTo(bytes, 0);
        BinaryPrimitives.WriteInt64BigEndian(bytes.AsSpan(8), nameStart);
        BinaryPrimitives.WriteInt32BigEndian(bytes.AsSpan(16), name?.Length ?? 0);
        BinaryPrimitives.WriteInt64BigEndian(bytes.AsSpan(RefTableField), RefTableOffset);
        BinaryPrimitives.WriteInt32BigEndian(bytes.AsSpan(RefTableField + 8), RefTableClusters);
        return bytes;
    }

    /// <summary>Notes the backing file that the image now names.</summary>
    public void SetBacking(string? name, string? format, long nameStart, int nameBytes)
    {
        BackingName = name;
        BackingFormat = format;
        BackingNameStart = nameStart;
        BackingNameEnd = nameStart + nameBytes;
    }

    private static byte[] ReadBytes(IHostFile file, int length)
    {
        byte[] bytes = new byte[length];
        int done;
        unsafe
        {
            fixed (byte* at = bytes)
            {
                // SAFETY: the array is pinned during the call and as long as told.
                done = (int)file.Read([new IoVec((nint)at, (nuint)length)], 0);
            }
        }

        return bytes[..done];
    }

    private static bool Overlap(long a, long aLength, long b, long bLength) => a < b + bLength && b < a + aLength;

    private static void WriteExtension(MemoryStream stream, uint type, ReadOnlySpan<byte> data)
    {
        Span<byte> head = stackalloc byte[8];
        BinaryPrimitives.WriteUInt32BigEndian(head, type);
        BinaryPrimitives.WriteInt32BigEndian(head[4..], data.Length);
        stream.Write(head);
        stream.Write(data);
        head.Clear();
        stream.Write(head[..(-data.Length & 7)]);
    }

    private void CheckTables(long fileBytes)
    {
        if (DiskBytes <= 0 || DiskBytes % 512 != 0)
            throw new DiskException(_path,
                $"its disk size, {(ulong)DiskBytes} bytes, is not a positive multiple of 512");
        if (L1Entries < 0 || L1Entries * 8L > Geometry.MaxL1Bytes || L1Entries < Geometry.L1Entries(DiskBytes))
            throw Corrupt($"an L1 table of {(uint)L1Entries} entries for {DiskBytes} bytes");
        if (!Inside(L1Offset, L1Entries * 8L, fileBytes))
            throw Corrupt($"the L1 table is said to be at 0x{L1Offset:x}");
        long refTableBytes = (long)(uint)RefTableClusters << Geometry.ClusterBits;
        if (refTableBytes is 0 or > Geometry.MaxRefTableBytes)
            throw Corrupt($"a refcount table of {(uint)RefTableClusters} clusters");
        if (!Inside(RefTableOffset, refTableBytes, fileBytes))
            throw Corrupt($"the refcount table is said to be at 0x{RefTableOffset:x}");
        if (Overlap(L1Offset, L1Entries * 8L, RefTableOffset, refTableBytes))
            throw Corrupt("the L1 and refcount tables overlap");
    }

    private bool Inside(long offset, long length, long fileBytes) =>
        Geometry.InCluster(offset) == 0 && offset >= Geometry.ClusterBytes && offset <= fileBytes - length;

    private void ReadExtensions(ReadOnlySpan<byte> cluster, long nameOffset, uint nameBytes)
    {
        bool named = nameOffset != 0;
        if (named)
        {
            if (nameBytes is 0 or > MaxBackingNameBytes
                || nameOffset < Fixed.Length
                || nameOffset > cluster.Length - nameBytes)
                throw Corrupt("the backing file's name lies outside the header");
            BackingNameStart = nameOffset;
            BackingNameEnd = nameOffset + nameBytes;
            BackingName = Encoding.UTF8.GetString(cluster.Slice((int)nameOffset, (int)nameBytes));
        }

        using MemoryStream others = new();
        ReadOnlySpan<byte> area = cluster[Fixed.Length..(named ? (int)nameOffset : cluster.Length)];
        while (area.Length >= 8)
        {
            uint type = BinaryPrimitives.ReadUInt32BigEndian(area);
            uint length = BinaryPrimitives.ReadUInt32BigEndian(area[4..]);
            if (type == 0) break;
            if (length > area.Length - 8) throw Corrupt("a header extension is longer than the header");
            ReadOnlySpan<byte> data = area.Slice(8, (int)length);
            if (type == BackingFormatExtension) BackingFormat = Encoding.UTF8.GetString(data);
            else if (type != FeatureNameExtension) WriteExtension(others, type, data);
            area = area[Math.Min(area.Length, 8 + (int)(length + 7 & ~7u))..];
        }

        OtherExtensions = others.ToArray();
    }
}
