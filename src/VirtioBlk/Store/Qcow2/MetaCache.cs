using System.Buffers.Binary;
using Kvm.Interop;

namespace VirtioBlk.Store.Qcow2;

/// <summary>
/// Bounded write-back cache of an image's metadata, in pages smaller than a cluster so that a cluster of 64 KiB, which
/// maps 512 MiB, need not be held whole. Not synchronized: callers hold the image's lock.
/// </summary>
/// <remarks>
/// Clean pages are evicted by the clock algorithm. Dirty ones stay until <see cref="WriteBack"/> has written them in
/// order, so a writer asks <see cref="IsFull"/> before each step and flushes when told to.
/// </remarks>
/// <param name="file">The image.</param>
/// <param name="clusterBytes">The image's cluster size.</param>
/// <param name="capacity">Pages to hold.</param>
internal sealed unsafe class MetaCache(IHostFile file, int clusterBytes, int capacity)
{
    /// <summary>Largest page: as much as a host page, so that one is written as a unit.</summary>
    public const int MaxPageBytes = 4096;

    private readonly Dictionary<long, MetaPage> _pages = [];
    private readonly List<MetaPage> _clock = [];
    private List<MetaPage> _dirty = [];
    private int _hand;

    /// <summary>Bytes in a page.</summary>
    public int PageBytes { get; } = Math.Min(clusterBytes, MaxPageBytes);

    /// <summary>Whether a page of that kind waits to be written.</summary>
    public bool IsDirty(MetaKind kind) => _dirty.Exists(page => page.Kind == kind);

    /// <summary>Half the cache waits to be written: time to flush, or reads would have no room.</summary>
    public bool IsCrowded => _dirty.Count >= capacity / 2;

    /// <summary>As much waits to be written as there is to be in memory at all.</summary>
    public bool IsFull => _dirty.Count >= capacity;

    /// <summary>The page with the byte at <paramref name="offset"/>.</summary>
    /// <exception cref="DiskException">
    /// The metadata lies outside the file, or one piece of it is used as two kinds.
    /// </exception>
    public MetaPage Get(long offset, MetaKind kind)
    {
        long start = offset & -PageBytes;
        if (!_pages.TryGetValue(start, out MetaPage? page)) page = Load(start, kind);
        else if (page.Kind != kind)
            throw new DiskException(file.Path, $"corrupt: 0x{offset:x} is used as {page.Kind} and as {kind}");
        page.IsReferenced = true;
        return page;
    }

    /// <summary>Whether <see cref="Get"/> of that offset reads nothing from the file.</summary>
    public bool Has(long offset) => _pages.ContainsKey(offset & -PageBytes);

    /// <summary>Index of a 64-bit entry in its page.</summary>
    public int EntryIndex(long offset) => (int)(offset & (PageBytes - 1)) / 8;

    /// <summary>A 64-bit entry.</summary>
    public ulong Entry(long offset, MetaKind kind) => Get(offset, kind).Entry(EntryIndex(offset));

    /// <summary>Changes a 64-bit entry.</summary>
    public void SetEntry(long offset, MetaKind kind, ulong value) =>
        BinaryPrimitives.WriteUInt64BigEndian(Modify(Get(offset, kind)).AsSpan(EntryIndex(offset) * 8), value);

    /// <summary>The page's bytes, to be changed before the lock is let go.</summary>
    public byte[] Modify(MetaPage page)
    {
        if (page.IsShared)
        {
            page.Bytes = page.Bytes.AsSpan().ToArray();
            page.IsShared = false;
        }

        MarkDirty(page);
        return page.Bytes;
    }

    /// <summary>
    /// Forgets pages whose place in the file is about to mean something else. In a sound image none of them is dirty.
    /// </summary>
    public void Drop(long offset, long length)
    {
        for (long at = offset; at < offset + length; at += PageBytes)
        {
            if (!_pages.Remove(at, out MetaPage? page)) continue;
            if (page.IsDirty || page.IsBeingWritten)
                throw new DiskException(file.Path, $"corrupt: 0x{at:x} is used as {page.Kind} but counts as free");
            _clock.Remove(page);
        }
    }

    /// <summary>
    /// Takes dirty pages, in the order they must be written. Each must come back through <see cref="Written"/> or <see
    /// cref="NotWritten"/>.
    /// </summary>
    /// <param name="last">The last kind to take.</param>
    public List<(MetaPage Page, byte[] Bytes)> Capture(MetaKind last = MetaKind.L1)
    {
        List<MetaPage> taken = _dirty.FindAll(page => page.Kind <= last);
        _dirty = taken.Count == _dirty.Count ? [] : _dirty.FindAll(page => page.Kind > last);
        taken.Sort((a, b) => a.Kind != b.Kind ? a.Kind.CompareTo(b.Kind) : a.Offset.CompareTo(b.Offset));
        List<(MetaPage, byte[])> captured = new(taken.Count);
        foreach (MetaPage page in taken)
        {
            page.IsDirty = false;
            page.IsBeingWritten = page.IsShared = true;
            captured.Add((page, page.Bytes));
        }

        return captured;
    }

    /// <summary>A captured page is in the file.</summary>
    public static void Written(MetaPage page) => page.IsBeingWritten = page.IsShared = false;

    /// <summary>
    /// A captured page did not get into the file: it, or what it has become meanwhile, is dirty again.
    /// </summary>
    public void NotWritten(MetaPage page)
    {
        Written(page);
        MarkDirty(page);
    }

    private void MarkDirty(MetaPage page)
    {
        if (page.IsDirty) return;
        page.IsDirty = true;
        _dirty.Add(page);
    }

    private MetaPage Load(long start, MetaKind kind)
    {
        byte[] bytes = Evict() ?? new byte[PageBytes];
        fixed (byte* at = bytes)
        {
            // SAFETY: the array is pinned during the call and as long as told.
            int read = (int)file.Read([new IoVec((nint)at, (nuint)bytes.Length)], start);
            // A table that is the file's last thing need not fill its page.
            bytes.AsSpan(read).Clear();
            if (read == 0)
                throw new DiskException(file.Path,
                    $"corrupt or cut short: {kind} at 0x{start:x} is beyond the end of the file");
        }

        MetaPage page = new(start, kind, bytes);
        _pages.Add(start, page);
        _clock.Add(page);
        return page;
    }

    /// <summary>Makes room for one page if the cache is full.</summary>
    /// <returns>The evicted page's array.</returns>
    private byte[]? Evict()
    {
        if (_clock.Count < capacity) return null;
        for (int looks = 2 * _clock.Count; looks > 0; looks--)
        {
            _hand = (_hand + 1) % _clock.Count;
            MetaPage page = _clock[_hand];
            if (page.IsDirty || page.IsBeingWritten) continue;
            if (page.IsReferenced)
            {
                page.IsReferenced = false;
                continue;
            }

            _pages.Remove(page.Offset);
            _clock[_hand] = _clock[^1];
            _clock.RemoveAt(_clock.Count - 1);
            byte[] bytes = page.Bytes;
            // Nobody keeps a page across another Get; if somebody did, an empty one fails where a recycled one would
            // lie.
            page.Bytes = [];
            return bytes;
        }

        // All dirty or in flight: grow a little rather than wait for the disk with the lock held.
        return null;
    }
}
