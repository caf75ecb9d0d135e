using System.Runtime.InteropServices;
using Kvm.Interop;

namespace VirtioBlk.Store.Tests;

/// <summary>Many threads at once on one disk, every sector of every read checked against what it may hold.</summary>
public sealed class ConcurrencyTests : IDisposable
{
    private const int DiskBytes = 2 << 20;
    private const int Sectors = DiskBytes / 512;
    private const int Threads = 6;

    private readonly TempFolder _folder = new();

    // Who uses the disk that was on top is waited for before that is merged away, as a device would be.
    private readonly GracePeriod _use = new();
    private SectorHistory _history = new(new int[Sectors]);
    private volatile IDiskLayer? _disk;

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(512, null)]
    [InlineData(4096, DiskFormat.Raw)]
    [InlineData(4096, DiskFormat.Qcow2)]
    [InlineData(65536, DiskFormat.Raw)]
    [InlineData(65536, null)]
    [InlineData(1 << 20, DiskFormat.Qcow2)]
    public void Every_read_is_one_that_one_disk_could_give(int clusterBytes, DiskFormat? backingFormat)
    {
        string path = _folder["top"];
        MakeBase(backingFormat);
        Qcow2Image.Create(path, DiskBytes, backingFormat is null ? null : "base", backingFormat, clusterBytes);
        IDiskLayer? below = backingFormat is { } format ? DiskChain.Open(_folder["base"], format, readOnly: true) : null;
        // So little cache that writers have to flush for each other.
        HostFile file = HostFile.Open(path, true, DiskLock.Exclusive);
        _disk = Qcow2Image.Open(file, readOnly: false, below, maxCacheBytes: 96 << 10);
        RunAll(operations: 600);
        byte[] content = Check("at rest");
        _disk.Dispose();
        Qemu.AssertClean(path);
        Assert.True(content.AsSpan().SequenceEqual(Qemu.ReadAll(path, "qcow2", _folder)));
    }

    [Fact]
    public void So_is_every_read_of_a_raw_disk()
    {
        MakeBase(DiskFormat.Raw);
        _disk = RawDisk.Open(_folder["base"], readOnly: false);
        RunAll(operations: 600);
        byte[] content = Check("at rest");
        _disk.Dispose();
        Assert.True(content.AsSpan().SequenceEqual(File.ReadAllBytes(_folder["base"])));
    }

    /// <summary>A fork freezes the top and puts an overlay on it; then what was the top is merged into the base.</summary>
    [Theory]
    [InlineData(DiskFormat.Raw, 65536)]
    [InlineData(DiskFormat.Qcow2, 4096)]
    public void Forks_and_merges_change_nothing_that_is_read(DiskFormat baseFormat, int clusterBytes)
    {
        MakeBase(baseFormat);
        Qcow2Image.Create(_folder["0"], DiskBytes, "base", baseFormat, clusterBytes);
        _disk = DiskChain.Open(_folder["0"], DiskFormat.Qcow2, readOnly: false);
        RunAll(operations: 500, () =>
        {
            for (int fork = 1; fork <= 6; fork++)
            {
                string path = _folder[$"{fork}"];
                IDiskLayer frozen = _disk;
                Qcow2Image.Create(path, DiskBytes, frozen.Path, DiskFormat.Qcow2, clusterBytes);
                Qcow2Image top = Qcow2Image.Open(path, readOnly: false, frozen);
                frozen.Freeze();
                _disk = top;
                _use.Wait();
                using LayerMerge merge = new(top);
                while (merge.Step())
                {
                }

                using Qcow2Image middle = merge.Complete();
                File.Delete(middle.Path);
            }
        });
        byte[] content = Check("at rest");
        string last = _disk.Path;
        _disk.Dispose();
        Qemu.AssertClean(last);
        if (baseFormat == DiskFormat.Qcow2) Qemu.AssertClean(_folder["base"]);
        Assert.True(content.AsSpan().SequenceEqual(Qemu.ReadAll(last, "qcow2", _folder)));
    }

    /// <summary>Each has a stretch of the disk to itself; the table that counts their clusters moves under all of them, several times.</summary>
    [Theory]
    [InlineData(64 << 10)]
    [InlineData(8 << 20)]
    public void Several_writers_find_the_refcount_table_full(long cacheBytes)
    {
        const int Stretch = 6 << 20, Piece = 24 << 10;
        string path = _folder["top"];
        Qcow2Image.Create(path, Threads * (long)Stretch, clusterBytes: 512);
        HostFile file = HostFile.Open(path, true, DiskLock.Exclusive);
        using (Qcow2Image image = Qcow2Image.Open(file, readOnly: false, null, cacheBytes))
        {
            Parallel.For(0, Threads, new ParallelOptions { MaxDegreeOfParallelism = Threads }, writer =>
            {
                for (int at = 0; at < Stretch; at += Piece)
                    image.WriteBytes((writer * (long)Stretch) + at, DiskIo.RandomBytes(Piece, (writer * Stretch) + at));
            });
            image.Flush();
        }

        Qemu.AssertClean(path);
        byte[] content = Qemu.ReadAll(path, "qcow2", _folder);
        for (int at = 0; at < content.Length; at += Piece)
            Assert.True(content.AsSpan(at, Piece).SequenceEqual(DiskIo.RandomBytes(Piece, at)), $"at {at}");
    }

    private static byte[] Stamped(int sectors, int stamp)
    {
        byte[] bytes = new byte[sectors * 512];
        MemoryMarshal.Cast<byte, int>(bytes.AsSpan()).Fill(stamp);
        return bytes;
    }

    private void MakeBase(DiskFormat? format)
    {
        if (format is null) return;
        int[] stamps = [.. Enumerable.Range(1, Sectors)];
        byte[] bytes = [.. stamps.SelectMany(stamp => Stamped(1, stamp))];
        File.WriteAllBytes(_folder[format == DiskFormat.Raw ? "base" : "base.raw"], bytes);
        if (format == DiskFormat.Qcow2)
            Qemu.Img("convert", "-f", "raw", "-O", "qcow2", _folder["base.raw"], _folder["base"]);
        _history = new SectorHistory(stamps);
    }

    private void RunAll(int operations, Action? beside = null)
    {
        List<Exception> failures = [];
        void Guard(Action action)
        {
            try
            {
                action();
            }
            catch (Exception e)
            {
                lock (failures) failures.Add(e);
            }
        }

        List<Thread> threads = [.. Enumerable.Range(0, Threads).Select(seed => new Thread(() => Guard(() =>
        {
            Random random = new(seed);
            for (int i = 0; i < operations && failures.Count == 0; i++) Next(random);
        })))];
        if (beside is not null) threads.Add(new Thread(() => Guard(beside)));
        threads.ForEach(thread => thread.Start());
        threads.ForEach(thread => thread.Join());
        if (failures.Count > 0) throw new AggregateException(failures);
    }

    private void Next(Random random)
    {
        // Half of it within few sectors, where the threads meet.
        int range = random.Next(2) == 0 ? Sectors : 256;
        int first = random.Next(range);
        int count = Math.Min(random.Next(8) == 0 ? random.Next(1, 700) : random.Next(1, 20), Sectors - first);
        switch (random.Next(12))
        {
            case < 4:
                Read(first, count, cached: random.Next(2) == 0);
                break;
            case 4:
                Change(first, count, 0, isSure: true, disk => disk.WriteZeroes(first * 512L, count * 512L, mayUnmap: true));
                break;
            case 5:
                Change(first, count, 0, isSure: true, disk => disk.WriteZeroes(first * 512L, count * 512L, mayUnmap: false));
                break;
            case 6:
                Change(first, count, 0, isSure: false, disk => disk.Discard(first * 512L, count * 512L));
                break;
            case 7 when random.Next(3) == 0:
                using (_use.Enter()) _disk!.Flush();
                break;
            default:
                int stamp = _history.NewStamp();
                byte[] bytes = Stamped(count, stamp);
                Change(first, count, stamp, isSure: true, disk => Write(disk, first * 512L, bytes));
                break;
        }
    }

    private static unsafe void Write(IDiskLayer disk, long offset, byte[] bytes)
    {
        fixed (byte* at = bytes)
        {
            if (bytes.Length % 1024 == 0 && disk.TryWriteCached([new IoVec((nint)at, (nuint)bytes.Length)], offset)) return;
            disk.WriteBytes(offset, bytes, cuts: bytes.Length / 512 % 5 + 1);
        }
    }

    private void Change(int first, int count, int stamp, bool isSure, Action<IDiskLayer> action)
    {
        SectorHistory.Change change = _history.Begin(first, count, stamp, isSure);
        while (!Try(action)) Thread.Yield();
        _history.End(change);
    }

    private bool Try(Action<IDiskLayer> action)
    {
        using GracePeriod.Stay stay = _use.Enter();
        IDiskLayer disk = _disk!;
        try
        {
            action(disk);
            return true;
        }
        catch (DiskException) when (disk.IsReadOnly)
        {
            // Frozen before it began: the overlay takes it as soon as there is one.
            return false;
        }
    }

    private unsafe void Read(int first, int count, bool cached)
    {
        byte[] bytes = new byte[count * 512];
        int begin = _history.Now();
        fixed (byte* at = bytes)
        {
            Span<IoVec> vectors = [new IoVec((nint)at, (nuint)bytes.Length)];
            using GracePeriod.Stay stay = _use.Enter();
            IDiskLayer disk = _disk!;
            if (!cached || !disk.TryReadCached(vectors, first * 512L)) disk.Read(vectors, first * 512L);
        }

        _history.AssertMayRead(first, bytes, begin, cached ? "cached" : "read");
    }

    private byte[] Check(string what)
    {
        int begin = _history.Now();
        byte[] content = _disk!.ReadAll();
        _history.AssertMayRead(0, content, begin, what);
        return content;
    }
}
