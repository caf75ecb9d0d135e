using System.Buffers.Binary;

namespace VirtioBlk.Store.Tests;

/// <summary>
/// What <c>qemu-img check</c> does, a thousand times faster and for images in memory: written from the format's text,
/// sharing nothing with the store, and held against qemu-img in <see cref="ImageCheckerTests"/>.
/// </summary>
internal sealed class ImageChecker
{
    private const ulong OffsetMask = 0x00FF_FFFF_FFFF_FE00;
    private const ulong ReservedInL1 = 0x7F00_0000_0000_01FF;
    private const ulong ReservedInL2 = 0x3F00_0000_0000_01FE;
    private const ulong Copied = 1UL << 63;
    private const ulong Compressed = 1UL << 62;

    private readonly byte[] _image;
    private readonly int _clusterBits;
    private readonly Dictionary<long, int> _references = [];
    private readonly Dictionary<long, int> _counts = [];
    private readonly List<(ulong Entry, long Host)> _pointers = [];

    private ImageChecker(byte[] image)
    {
        _image = image;
        _clusterBits = (int)U32(20);
    }

    /// <summary>Counts that are too low, and flags and pointers that are wrong: data will be lost.</summary>
    public int Corruptions { get; private set; }

    /// <summary>Clusters that count as used and are not.</summary>
    public int Leaks { get; private set; }

    /// <summary>As the tool's: 0 clean, 2 corrupt, 3 leaked clusters.</summary>
    public int ExitStatus => Corruptions > 0 ? 2 : Leaks > 0 ? 3 : 0;

    private long ClusterBytes => 1L << _clusterBits;

    private long Clusters => (_image.Length + ClusterBytes - 1) >> _clusterBits;

    /// <summary>Checks an image whose header is sound, with counts of 16 bits and plain L2 entries.</summary>
    public static ImageChecker Check(byte[] image)
    {
        ImageChecker checker = new(image);
        checker.Use(0, 1);
        checker.WalkRefcounts();
        checker.WalkMap();
        checker.Compare();
        return checker;
    }

    private void WalkRefcounts()
    {
        long table = (long)U64(48);
        long bytes = (long)U32(56) << _clusterBits;
        Use(table, bytes);
        long perBlock = ClusterBytes / 2;
        for (long i = 0; i < bytes / 8; i++)
        {
            ulong entry = U64(table + i * 8);
            if (entry == 0) continue;
            long block = (long)(entry & ~0x1FFUL);
            if (!IsPlace(block) || (entry & 0x1FF) != 0)
            {
                Corruptions++;
                continue;
            }

            Use(block, ClusterBytes);
            for (long n = 0; n < perBlock; n++)
            {
                int count = BinaryPrimitives.ReadUInt16BigEndian(Bytes(block + n * 2, 2));
                if (count != 0) _counts[i * perBlock + n] = count;
            }
        }
    }

    private void WalkMap()
    {
        long table = (long)U64(40);
        long entries = U32(36);
        Use(table, entries * 8);
        for (long i = 0; i < entries; i++)
        {
            ulong entry = U64(table + i * 8);
            if (entry == 0) continue;
            if ((entry & ReservedInL1) != 0) Corruptions++;
            long l2 = (long)(entry & OffsetMask);
            _pointers.Add((entry, l2));
            Use(l2, ClusterBytes);
            if (!IsPlace(l2))
            {
                Corruptions++;
                continue;
            }

            for (long n = 0; n < ClusterBytes / 8; n++) Visit(U64(l2 + n * 8));
        }
    }

    private void Visit(ulong entry)
    {
        if ((entry & Compressed) != 0)
        {
            int bits = 62 - (_clusterBits - 8);
            long host = (long)(entry & (1UL << bits) - 1);
            long sectors = (long)((entry & Compressed - 1) >> bits) + 1;
            if ((entry & Copied) != 0) Corruptions++;
            Use(host & ~511L, sectors * 512);
            return;
        }

        if ((entry & ReservedInL2) != 0) Corruptions++;
        long data = (long)(entry & OffsetMask);
        if (data == 0) return;
        if ((data & (ClusterBytes - 1)) != 0) Corruptions++;
        _pointers.Add((entry, data));
        Use(data, ClusterBytes);
    }

    private void Compare()
    {
        for (long i = 0; i < Clusters; i++)
        {
            int used = _references.GetValueOrDefault(i);
            int count = _counts.GetValueOrDefault(i);
            if (count < used) Corruptions++;
            else if (count > used) Leaks++;
        }

        foreach ((ulong entry, long host) in _pointers)
        {
            if ((entry & Copied) != 0 != (_counts.GetValueOrDefault(host >> _clusterBits) == 1)) Corruptions++;
        }
    }

    private void Use(long offset, long bytes)
    {
        if (bytes == 0) return;
        // The file's last cluster need not be whole; one that has not begun is not there.
        if (offset < 0 || offset + bytes - _image.Length >= ClusterBytes)
        {
            Corruptions++;
            return;
        }

        for (long i = offset >> _clusterBits; i <= (offset + bytes - 1) >> _clusterBits; i++)
            _references[i] = _references.GetValueOrDefault(i) + 1;
    }

    private bool IsPlace(long offset) =>
        (offset & (ClusterBytes - 1)) == 0 && offset >= 0 && offset >> _clusterBits < Clusters;

    private uint U32(long at) => BinaryPrimitives.ReadUInt32BigEndian(Bytes(at, 4));

    private ulong U64(long at) => BinaryPrimitives.ReadUInt64BigEndian(Bytes(at, 8));

    // What the file lacks at its end is zeros.
    private ReadOnlySpan<byte> Bytes(long at, int length) =>
        at + length <= _image.Length ? _image.AsSpan((int)at, length) : new byte[length];
}
