using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace VirtioBlk.Store.Qcow2;

/// <summary>
/// Which clusters of the file are in use: the refcount table and its blocks of 16-bit counts. Everything written here
/// has count 1 or 0. Callers hold the image's lock.
/// </summary>
/// <param name="file">The image.</param>
/// <param name="header">Says where the table is; <see cref="RefTableGrowth"/> moves it.</param>
/// <param name="cache">The image's metadata.</param>
internal sealed class Refcounts(IHostFile file, Header header, MetaCache cache)
{
    // Counts may be ahead of the file by what was in memory when a writer was killed.
    private const long MaxBeyondEnd = 1 << 20;

    private readonly Geometry _geometry = header.Geometry;
    private long _searchFrom;
    private long _highWater = file.LengthBytes;
    private List<ClusterRun> _pending = [];

    /// <summary>Freed clusters to collect before a flush is due without the guest having asked for one.</summary>
    public const long ManyPending = 1024;

    /// <summary>
    /// Most to collect. More than all workers of a device free with one request each that began just below
    /// <see cref="ManyPending"/>: 16 times 256 MiB in clusters of 64 KiB.
    /// </summary>
    public const long MaxPending = 128 << 10;

    /// <summary>Clusters freed but not yet available again.</summary>
    public long PendingClusters { get; private set; }

    /// <summary>Refcount blocks the table has room for.</summary>
    public long TableEntries => (long)header.RefTableClusters * _geometry.RefTableEntries;

    /// <summary>Takes the first free clusters.</summary>
    /// <param name="want">How many would be good; at least one.</param>
    /// <param name="run">What was taken: adjacent clusters, at least one.</param>
    /// <returns>False if the refcount table is full: <see cref="RefTableGrowth.Grow"/> and ask again.</returns>
    public bool TryTake(int want, out ClusterRun run)
    {
        run = default;
        for (long index = _searchFrom; ;)
        {
            long block = index / _geometry.RefBlockEntries;
            if (block >= TableEntries) return false;
            // No sound image counts much beyond its end. One made to keep us here could point at one full block a
            // million times.
            if (index > _geometry.Clusters(_highWater) + MaxBeyondEnd)
                throw header.Corrupt("clusters beyond the end of the file count as used");
            if (BlockOffset(block) == 0) CreateBlock(block);
            MetaPage page = PageOf(index, out int first);
            ReadOnlySpan<ushort> counts = MemoryMarshal.Cast<byte, ushort>(page.Bytes.AsSpan());
            int free = counts[first..].IndexOf((ushort)0);
            if (free < 0)
            {
                index += counts.Length - first;
                _searchFrom = index;
                continue;
            }

            first += free;
            int end = first + 1;
            while (end < counts.Length && end - first < want && counts[end] == 0) end++;
            run = Taken(index + free, end - first);
            Fill(cache.Modify(page), first, end, 1);
            return true;
        }
    }

    /// <summary>
    /// Notes that the file has been written up to an offset otherwise than through <see cref="TryTake"/>.
    /// </summary>
    public void NoteWritten(long end) => _highWater = Math.Max(_highWater, end);

    /// <summary>The parts of a run in which each cluster is used once: nobody has them after a release.</summary>
    public IEnumerable<ClusterRun> UsedOnce(ClusterRun run)
    {
        int start = 0;
        for (int i = 0; i <= run.Count; i++)
        {
            if (i < run.Count && CountOf(run.First + i) == 1) continue;
            if (i > start) yield return new ClusterRun(run.First + start, i - start);
            start = i + 1;
        }
    }

    /// <summary>Gives clusters back at once: nothing on disk points at them.</summary>
    public void Release(ClusterRun run)
    {
        for (int i = 0; i < run.Count; i++)
        {
            long index = run.First + i;
            if (index / _geometry.RefBlockEntries >= TableEntries
                || BlockOffset(index / _geometry.RefBlockEntries) == 0)
                continue;
            MetaPage page = PageOf(index, out int at);
            // A count of 0 is somebody else's damage; freeing twice must not make more of it.
            if (Count(page, at) is var count and > 0)
                BinaryPrimitives.WriteUInt16BigEndian(cache.Modify(page).AsSpan(at * 2), (ushort)(count - 1));
        }

        _searchFrom = Math.Min(_searchFrom, run.First);
    }

    /// <summary>
    /// Notes that a cluster is no longer needed once the metadata that pointed at it has reached the disk. Taking it
    /// again before would let a crash show one guest cluster the data of another.
    /// </summary>
    public void FreeLater(long index)
    {
        PendingClusters++;
        if (_pending.Count > 0 && _pending[^1] is var last && last.First + last.Count == index)
            _pending[^1] = last with { Count = last.Count + 1 };
        else
            _pending.Add(new ClusterRun(index, 1));
    }

    /// <summary>Hands over what <see cref="FreeLater"/> has collected.</summary>
    public List<ClusterRun> TakePending()
    {
        List<ClusterRun> pending = _pending;
        _pending = [];
        PendingClusters = 0;
        return pending;
    }

    /// <summary>Takes back what could not be freed yet.</summary>
    public void ReturnPending(List<ClusterRun> runs)
    {
        foreach (ClusterRun run in runs) PendingClusters += run.Count;
        _pending.InsertRange(0, runs);
    }

    private ushort CountOf(long index)
    {
        if (index / _geometry.RefBlockEntries >= TableEntries || BlockOffset(index / _geometry.RefBlockEntries) == 0)
            return 0;
        MetaPage page = PageOf(index, out int at);
        return Count(page, at);
    }

    private static void Fill(byte[] bytes, int first, int end, ushort value) =>
        MemoryMarshal.Cast<byte, ushort>(bytes.AsSpan())[first..end].Fill(BinaryPrimitives.ReverseEndianness(value));

    private static ushort Count(MetaPage page, int at) =>
        BinaryPrimitives.ReadUInt16BigEndian(page.Bytes.AsSpan(at * 2));

    private ClusterRun Taken(long first, int count)
    {
        long start = first << _geometry.ClusterBits;
        long end = (first + count) << _geometry.ClusterBits;
        // The counts of a damaged image may call anything free; never hand out what would destroy the image at once.
        if (header.Covers(start, end - start))
            throw header.Corrupt($"cluster 0x{start:x} holds metadata but counts as free");
        _searchFrom = first + count;
        bool fresh = start >= _highWater;
        _highWater = Math.Max(_highWater, end);
        return new ClusterRun(first, count, fresh);
    }

    private long BlockOffset(long block)
    {
        long offset = (long)cache.Entry(header.RefTableOffset + block * 8, MetaKind.RefTable);
        if (offset == 0) return 0;
        if (_geometry.InCluster(offset) != 0 || offset < 0 || header.Covers(offset, _geometry.ClusterBytes))
            throw header.Corrupt($"refcount block {block} is said to be at 0x{offset:x}");
        return offset;
    }

    private MetaPage PageOf(long index, out int at)
    {
        long offset = BlockOffset(index / _geometry.RefBlockEntries) + index % _geometry.RefBlockEntries * 2;
        at = (int)(offset & (cache.PageBytes - 1)) / 2;
        return cache.Get(offset, MetaKind.RefBlock);
    }

    /// <summary>
    /// No block means that none of its clusters is in use, so the first of them can hold the block that says so.
    /// </summary>
    private void CreateBlock(long block)
    {
        long index = block * _geometry.RefBlockEntries;
        long offset = index << _geometry.ClusterBits;
        if (header.Covers(offset, _geometry.ClusterBytes))
            throw header.Corrupt($"no refcount block counts the cluster at 0x{offset:x}");
        file.WriteZeros(offset, _geometry.ClusterBytes);
        _highWater = Math.Max(_highWater, offset + _geometry.ClusterBytes);
        cache.Drop(offset, _geometry.ClusterBytes);
        Fill(cache.Modify(cache.Get(offset, MetaKind.RefBlock)), 0, 1, 1);
        cache.SetEntry(header.RefTableOffset + block * 8, MetaKind.RefTable, (ulong)offset);
    }
}
