namespace VirtioBlk.Store.Tests;

/// <summary>
/// A power cut after any write to any file of a chain, while the disk is forked (frozen, an overlay on top) and while the
/// frozen layer is merged away under the writing guest.
/// </summary>
public sealed class ChainPowerCutTests : IDisposable
{
    private const int DiskBytes = 512 << 10;
    private const int ClusterBytes = 4096;
    private const int Base = 0, Middle = 1, Top = 2;

    private readonly TempFolder _folder = new();
    private readonly List<(int File, RecordingFile.Event What)> _journal = [];

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void What_was_flushed_is_there_through_a_fork_and_a_merge(int seed)
    {
        RecordingFile[] files = MakeFiles();
        byte[][] disks = [.. files.Select(file => file.Snapshot())];
        CrashTimeline timeline = new(DiskBytes, ClusterBytes, seed, flushOneIn: 8);
        int forkedAt = Run(files, timeline);

        Random random = new(seed);
        List<RecordingFile.Event>[] unsynced = [[], [], []];
        int cuts = 0;
        for (int now = 0; now <= _journal.Count; now++)
        {
            CrashWorkload expected = timeline.After(now);
            foreach (string mode in (string[])["all kept", "nothing kept", "at random"])
            {
                byte[][] left = [.. disks.Select((disk, i) => Cut(disk, unsynced[i], mode, random))];
                AssertHolds(left, now > forkedAt, expected, $"cut after event {now} of {_journal.Count}, {mode}");
                cuts++;
            }

            if (now == _journal.Count) break;
            (int file, RecordingFile.Event what) = _journal[now];
            if (what.Bytes is not null)
            {
                unsynced[file].Add(what);
                continue;
            }

            foreach (RecordingFile.Event synced in unsynced[file]) synced.ApplyTo(ref disks[file], _ => true);
            unsynced[file].Clear();
        }

        Assert.InRange(cuts, 500, 100_000);
    }

    private static byte[] Cut(byte[] disk, List<RecordingFile.Event> unsynced, string mode, Random random)
    {
        if (mode == "nothing kept" || unsynced.Count == 0) return disk;
        byte[] left = [.. disk];
        double share = mode == "all kept" ? 1 : random.NextDouble();
        foreach (RecordingFile.Event change in unsynced) change.ApplyTo(ref left, _ => random.NextDouble() < share);
        return left;
    }

    private static void AssertHolds(byte[][] left, bool isForked, CrashWorkload expected, string what)
    {
        foreach (byte[] layer in left) Assert.True(ImageChecker.Check(layer).ExitStatus is 0 or 3, what);
        Qcow2Image Open(int layer, IBlockBackend? below) =>
            Qcow2Image.Open(new RecordingFile(what, left[layer]), readOnly: true, below);
        using Qcow2Image middle = Open(Middle, Open(Base, null));
        if (!isForked)
        {
            expected.AssertHolds(middle.ReadAll(), what);
            return;
        }

        // The name in the top layer says how far the merge is.
        using Qcow2Image top = Open(Top, null);
        using Qcow2Image below = Open(Base, null);
        top.Attach(top.BackingName == "base" ? below : middle);
        byte[] content = top.ReadAll();
        top.Attach(null);
        expected.AssertHolds(content, what);
    }

    /// <returns>How many events there were when the overlay took the frozen layer's place.</returns>
    private int Run(RecordingFile[] files, CrashTimeline timeline)
    {
        int Events() => _journal.Count;
        Qcow2Image lowest = Qcow2Image.Open(files[Base], readOnly: false, null);
        lowest.Freeze();
        Qcow2Image middle = Qcow2Image.Open(files[Middle], readOnly: false, lowest);
        for (int i = 0; i < 40; i++) timeline.Next(middle, Events);
        middle.Freeze();
        int forkedAt = Events();
        using Qcow2Image top = Qcow2Image.Open(files[Top], readOnly: false, middle);
        for (int i = 0; i < 30; i++) timeline.Next(top, Events);
        using LayerMerge merge = new(top);
        while (merge.Step()) timeline.Next(top, Events);
        timeline.Next(top, Events);
        Qcow2Image merged = merge.Complete();
        Assert.Same(middle, merged);
        for (int i = 0; i < 20; i++) timeline.Next(top, Events);
        return forkedAt;
    }

    private RecordingFile[] MakeFiles()
    {
        Qcow2Image.Create(_folder["base"], DiskBytes, clusterBytes: 65536);
        Qcow2Image.Create(_folder["middle"], DiskBytes, "base", DiskFormat.Qcow2, ClusterBytes);
        Qcow2Image.Create(_folder["top"], DiskBytes, "middle", DiskFormat.Qcow2, ClusterBytes);
        RecordingFile[] files =
        [
            .. new[] { "base", "middle", "top" }.Select(name => new RecordingFile(_folder[name], File.ReadAllBytes(_folder[name]))),
        ];
        for (int i = 0; i < files.Length; i++)
        {
            int file = i;
            files[i].Happened = what =>
            {
                lock (_journal) _journal.Add((file, what));
            };
        }

        return files;
    }
}
