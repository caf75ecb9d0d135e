using System.Buffers.Binary;
using Kvm.Interop;
using VirtioBlk.Store.Qcow2;

namespace VirtioBlk.Store;

/// <summary>
/// Checks a qcow2 image: counts who points at each cluster of the file and compares that with what the image says. Reads only.
/// </summary>
/// <remarks>
/// It knows what an image may hold, not only what this program writes: internal snapshots, compressed clusters, bitmaps, refcounts
/// of any width. Time and memory are bounded by what the file holds, whatever the image claims.
/// </remarks>
public sealed class Qcow2Check
{
    private const ulong OffsetMask = 0x00FF_FFFF_FFFF_FE00, Copied = 1UL << 63, Compressed = 1UL << 62, Zero = 1;
    private const uint BitmapsExtension = 0x23852875;
    private const int PartClusters = 4096, MaxProblems = 20, MaxSnapshots = 65536, SnapshotBytes = 40, BitmapEntryBytes = 24;
    private const ulong ExtendedL2 = 1 << 4, BitmapsValid = 1;

    private readonly IHostFile _file;
    private readonly Header _header;
    private readonly byte[] _fixed;
    private readonly int _clusterBits, _clusterBytes, _entryBytes;
    private readonly long _fileClusters;
    private readonly Dictionary<long, uint[]> _references = [];
    private readonly List<string> _problems = [];
    private readonly ulong[] _refTable;
    private readonly Dictionary<long, byte[]> _refBlocks = [];
    private long _corruptions, _leaks, _allocated, _tablesLeft;

    private Qcow2Check(IHostFile file)
    {
        _file = file;
        _header = Header.Read(file);
        _fixed = _header.Fixed;
        _clusterBits = (int)BinaryPrimitives.ReadUInt32BigEndian(_fixed.AsSpan(20));
        _clusterBytes = 1 << _clusterBits;
        _entryBytes = (_header.Incompatible & ExtendedL2) != 0 ? 16 : 8;
        _fileClusters = (file.LengthBytes + _clusterBytes - 1) >> _clusterBits;
        // Each table is a cluster of the file; snapshots may share them.
        _tablesLeft = _fileClusters * (1L + Math.Min(_header.Snapshots, MaxSnapshots));
        _refTable = ReadTable(_header.RefTableOffset, ((long)_header.RefTableClusters << _clusterBits) / 8);
    }

    private long TotalClusters => (_header.DiskBytes + _clusterBytes - 1) >> _clusterBits;

    /// <summary>Checks an image.</summary>
    /// <param name="path">The image. Nobody may write it meanwhile.</param>
    /// <exception cref="DiskInUseException">Somebody does.</exception>
    /// <exception cref="DiskException">It cannot be read, or is too damaged or too strange to be checked at all.</exception>
    public static DiskCheckReport Run(string path)
    {
        using HostFile file = HostFile.Open(path, writable: false, DiskLock.Shared);
        Qcow2Check check = new(file);
        check.CountAll();
        check.Compare();
        return new DiskCheckReport(check._corruptions, check._leaks, check.TotalClusters, check._allocated, check._problems);
    }

    private void CountAll()
    {
        Refer(0, _clusterBytes, "the header");
        CountL1(_header.L1Offset, _header.L1Entries, active: true);
        CountSnapshots();
        CountBitmaps();
        Refer(_header.RefTableOffset, (long)_header.RefTableClusters << _clusterBits, "the refcount table");
        for (int i = 0; i < _refTable.Length; i++)
        {
            if (_refTable[i] == 0) continue;
            if ((_refTable[i] & 511) != 0 || !IsAligned((long)_refTable[i])) Corrupt($"refcount block {i} is said to be at 0x{_refTable[i]:x}");
            else Refer((long)_refTable[i], _clusterBytes, $"refcount block {i}");
        }
    }

    private void CountL1(long offset, long entries, bool active)
    {
        if (!Refer(offset, entries * 8, "an L1 table")) return;
        ulong[] table = ReadTable(offset, entries);
        for (int i = 0; i < table.Length; i++)
        {
            ulong entry = table[i];
            long l2 = (long)(entry & OffsetMask);
            if ((entry & ~(OffsetMask | Copied)) != 0) Corrupt($"L1 entry {i} has reserved bits set: 0x{entry:x}");
            if (l2 == 0) continue;
            if (!IsAligned(l2)) Corrupt($"L2 table {i} is said to be at 0x{l2:x}");
            else if (Refer(l2, _clusterBytes, $"L2 table {i}"))
            {
                if (active) CheckCopied(entry, l2, $"L2 table {i}");
                CountL2(l2, i, active);
            }
        }
    }

    private void CountL2(long offset, int index, bool active)
    {
        if (--_tablesLeft < 0) throw _header.Corrupt("it maps more clusters than its file has");
        ulong[] table = ReadTable(offset, _clusterBytes / 8);
        int words = _entryBytes / 8;
        for (int i = 0; i < table.Length; i += words)
        {
            ulong entry = table[i];
            if (entry == 0) continue;
            string what = $"guest cluster {((long)index * (table.Length / words)) + (i / words)}";
            if ((entry & Compressed) != 0)
            {
                CountCompressed(entry, what);
                if (active) _allocated++;
                continue;
            }

            long host = (long)(entry & OffsetMask);
            // Bit 0 of an ordinary entry says zeros; with extended entries the second word does, and it is reserved.
            ulong reserved = ~(OffsetMask | Copied | (words == 1 && _header.Version >= 3 ? Zero : 0));
            if ((entry & reserved) != 0) Corrupt($"the entry of {what} has reserved bits set: 0x{entry:x}");
            if (host == 0) continue;
            if (!IsAligned(host))
            {
                Corrupt($"{what} is said to be at 0x{host:x}");
                continue;
            }

            if (active && (words == 2 || (entry & Zero) == 0)) _allocated++;
            if (Refer(host, _clusterBytes, what) && active) CheckCopied(entry, host, what);
        }
    }

    private void CountCompressed(ulong entry, string what)
    {
        // Qcow2 specification, "Compressed Clusters Descriptor": the offset is not aligned; the size is in sectors after the first.
        int offsetBits = 62 - (_clusterBits - 8);
        long start = (long)(entry & ((1UL << offsetBits) - 1));
        long sectors = (long)(entry >> offsetBits & ((1UL << (_clusterBits - 8)) - 1)) + 1;
        if ((entry & Copied) != 0) Corrupt($"{what} is compressed and yet marked as not shared");
        start &= ~511L;
        long end = Math.Min(start + (sectors * 512), _fileClusters << _clusterBits);
        Refer(start, Math.Max(end - start, 1), what);
    }

    private void CountSnapshots()
    {
        if (_header.Snapshots == 0) return;
        if (_header.Snapshots is < 0 or > MaxSnapshots) throw _header.Corrupt($"{(uint)_header.Snapshots} snapshots");
        long start = (long)BinaryPrimitives.ReadUInt64BigEndian(_fixed.AsSpan(64)), at = start;
        byte[] entry = new byte[SnapshotBytes];
        for (int i = 0; i < _header.Snapshots; i++)
        {
            if (!IsAligned(start) || Read(at, entry) < SnapshotBytes) throw _header.Corrupt($"the snapshot table is said to be at 0x{start:x}");
            long l1 = (long)BinaryPrimitives.ReadUInt64BigEndian(entry);
            long entries = BinaryPrimitives.ReadUInt32BigEndian(entry.AsSpan(8));
            long names = BinaryPrimitives.ReadUInt16BigEndian(entry.AsSpan(12)) + BinaryPrimitives.ReadUInt16BigEndian(entry.AsSpan(14));
            long extra = BinaryPrimitives.ReadUInt32BigEndian(entry.AsSpan(36));
            if (!IsAligned(l1) || entries * 8 > Geometry.MaxL1Bytes) Corrupt($"the L1 table of snapshot {i} is said to be at 0x{l1:x}");
            else if (entries > 0) CountL1(l1, entries, active: false);
            at += (SnapshotBytes + extra + names + 7) & ~7L;
        }

        Refer(start, at - start, "the snapshot table");
    }

    private void CountBitmaps()
    {
        if ((_header.AutoClear & BitmapsValid) == 0) return;
        byte[] cluster = new byte[_clusterBytes];
        int filled = Read(0, cluster);
        for (int at = _fixed.Length; at + 8 <= filled;)
        {
            uint type = BinaryPrimitives.ReadUInt32BigEndian(cluster.AsSpan(at));
            long length = BinaryPrimitives.ReadUInt32BigEndian(cluster.AsSpan(at + 4));
            if (type == 0 || length > filled - at - 8) return;
            if (type == BitmapsExtension && length >= 24)
            {
                CountBitmapDirectory(
                    (long)BinaryPrimitives.ReadUInt64BigEndian(cluster.AsSpan(at + 24)),
                    (long)BinaryPrimitives.ReadUInt64BigEndian(cluster.AsSpan(at + 16)));
            }

            at += 8 + (int)((length + 7) & ~7L);
        }
    }

    private void CountBitmapDirectory(long offset, long length)
    {
        if (!IsAligned(offset) || length is < 0 or > 64 << 20 || !Refer(offset, length, "the bitmap directory")) return;
        byte[] directory = new byte[length];
        int filled = Read(offset, directory);
        for (int at = 0; at + BitmapEntryBytes <= filled;)
        {
            ReadOnlySpan<byte> entry = directory.AsSpan(at);
            long table = (long)BinaryPrimitives.ReadUInt64BigEndian(entry), entries = BinaryPrimitives.ReadUInt32BigEndian(entry[8..]);
            if (!IsAligned(table) || !Refer(table, entries * 8, "a bitmap table")) return;
            foreach (ulong data in ReadTable(table, entries))
                if ((data & OffsetMask) != 0) Refer((long)(data & OffsetMask), _clusterBytes, "a bitmap");
            long size = BitmapEntryBytes + BinaryPrimitives.ReadUInt16BigEndian(entry[18..]) + (long)BinaryPrimitives.ReadUInt32BigEndian(entry[20..]);
            if (size > filled) return;
            at += (int)((size + 7) & ~7L);
        }
    }

    /// <summary>Compares where there is something to compare: an image may be a sparse file of any size.</summary>
    private void Compare()
    {
        long perBlock = _clusterBytes * 8L >> _header.RefcountOrder;
        HashSet<ulong> seen = [];
        for (long block = 0; block < _refTable.Length; block++)
        {
            // One that is used twice has been complained of.
            if (_refTable[block] == 0 || !seen.Add(_refTable[block])) continue;
            long end = Math.Min((block + 1) * perBlock, _fileClusters);
            for (long cluster = block * perBlock; cluster < end; cluster++) Compare(cluster);
        }

        foreach (long part in _references.Keys.Order())
        {
            for (long cluster = part * PartClusters; cluster < (part + 1) * PartClusters; cluster++)
                if (cluster / perBlock >= _refTable.Length || _refTable[cluster / perBlock] == 0) Compare(cluster);
        }
    }

    private void Compare(long cluster)
    {
        ulong said = Refcount(cluster);
        uint counted = _references.TryGetValue(cluster / PartClusters, out uint[]? part) ? part[cluster % PartClusters] : 0;
        if (said == counted) return;
        string line = $"cluster 0x{cluster << _clusterBits:x} has the refcount {said} and {counted} references";
        if (said < counted) Corrupt(line);
        else Note(ref _leaks, line + ": leaked");
    }

    private void CheckCopied(ulong entry, long host, string what)
    {
        if ((entry & Copied) != 0 == (Refcount(host >> _clusterBits) == 1)) return;
        Corrupt($"{what} is marked as {((entry & Copied) != 0 ? "not shared" : "shared")}, with a refcount of {Refcount(host >> _clusterBits)}");
    }

    /// <summary>Notes that something points at a range.</summary>
    /// <returns>Whether the file has it.</returns>
    private bool Refer(long offset, long length, string what)
    {
        if (length == 0) return true;
        long first = offset >> _clusterBits, last = (offset + length - 1) >> _clusterBits;
        if (offset < 0 || length < 0 || last >= _fileClusters || last < first)
        {
            Corrupt($"{what} is said to be at 0x{offset:x}, beyond the end of the file");
            return false;
        }

        for (long cluster = first; cluster <= last; cluster++)
        {
            if (!_references.TryGetValue(cluster / PartClusters, out uint[]? part))
                _references.Add(cluster / PartClusters, part = new uint[PartClusters]);
            part[cluster % PartClusters]++;
        }

        return true;
    }

    private ulong Refcount(long cluster)
    {
        int bits = 1 << _header.RefcountOrder;
        long perBlock = _clusterBytes * 8L / bits, block = cluster / perBlock, at = cluster % perBlock;
        if (block >= _refTable.Length || _refTable[block] == 0) return 0;
        if (!_refBlocks.TryGetValue(block, out byte[]? bytes))
        {
            if (_refBlocks.Count >= 64) _refBlocks.Clear();
            _refBlocks.Add(block, bytes = new byte[_clusterBytes]);
            if ((_refTable[block] & 511) == 0) Read((long)_refTable[block], bytes);
        }

        // Narrower than a byte: from the lowest bits up.
        if (bits < 8) return (ulong)bytes[at * bits / 8] >> (int)(at * bits % 8) & ((1UL << bits) - 1);
        ulong value = 0;
        for (int i = 0; i < bits / 8; i++) value = value << 8 | bytes[(at * bits / 8) + i];
        return value;
    }

    private bool IsAligned(long offset) => (offset & (_clusterBytes - 1)) == 0;

    private ulong[] ReadTable(long offset, long entries)
    {
        byte[] bytes = new byte[entries * 8];
        Read(offset, bytes);
        ulong[] table = new ulong[entries];
        for (int i = 0; i < table.Length; i++) table[i] = BinaryPrimitives.ReadUInt64BigEndian(bytes.AsSpan(i * 8));
        return table;
    }

    private unsafe int Read(long offset, byte[] into)
    {
        if (offset < 0) return 0;
        fixed (byte* at = into)
        {
            // SAFETY: pinned during the call and as long as told.
            return (int)_file.Read([new IoVec((nint)at, (nuint)into.Length)], offset);
        }
    }

    private void Corrupt(string problem) => Note(ref _corruptions, problem);

    private void Note(ref long counter, string problem)
    {
        counter++;
        if (_problems.Count < MaxProblems) _problems.Add(problem);
    }
}
