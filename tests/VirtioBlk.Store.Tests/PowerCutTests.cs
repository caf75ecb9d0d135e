namespace VirtioBlk.Store.Tests;

/// <summary>
/// A power cut after any write: what was synced is there, of the rest any part may be. The image is then sound but for
/// leaked clusters, and what was flushed is there.
/// </summary>
public sealed class PowerCutTests : IDisposable
{
    private const int DiskBytes = 640 << 10;
    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(512, 64 << 10, 12, 1)]
    [InlineData(512, 4 << 10, 100, 2)]
    [InlineData(4096, 16 << 10, 30, 3)]
    [InlineData(65536, 64 << 10, 12, 4)]
    public void Leaves_at_worst_leaks(int clusterBytes, int cacheBytes, int flushOneIn, int seed)
    {
        Qcow2Image.Create(_folder["new"], DiskBytes, clusterBytes: clusterBytes);
        byte[] disk = File.ReadAllBytes(_folder["new"]);
        using RecordingFile file = new("recorded", disk);
        CrashTimeline timeline = new(DiskBytes, clusterBytes, seed, flushOneIn);
        using (Qcow2Image image = Qcow2Image.Open(file, readOnly: false, null, cacheBytes))
        {
            while (file.Writes < CrashScale.Writes) timeline.Next(image, () => file.Events.Count);
        }

        Random random = new(seed);
        int cuts = 0;
        HashSet<int> outcomes = [];
        List<RecordingFile.Event> unsynced = [];
        for (int now = 0; now <= file.Events.Count; now++)
        {
            CrashWorkload expected = timeline.After(now);
            foreach ((string mode, byte[] left) in Cuts(disk, unsynced, random))
            {
                string what = $"cut after event {now} of {file.Events.Count}, {mode}";
                ImageChecker check = ImageChecker.Check(left);
                Assert.True(check.ExitStatus is 0 or 3, $"{what}: {check.Corruptions} corruptions");
                // qemu-img sees each outcome once, and a sample.
                AssertSound(left, expected, what, outcomes.Add(check.Leaks) || random.Next(200) == 0);
                cuts++;
            }

            if (now == file.Events.Count) break;
            unsynced.Add(file.Events[now]);
            if (file.Events[now].Bytes is not null) continue;
            foreach (RecordingFile.Event synced in unsynced) synced.ApplyTo(ref disk, _ => true);
            unsynced.Clear();
        }

        CrashScale.Report($"power cuts, {clusterBytes}-byte clusters: {file.Writes} writes, {timeline.Operations} guest "
            + $"operations, {cuts} cuts, {outcomes.Count} outcomes, nothing lost");
    }

    /// <summary>
    /// The refcount table moves: a cut at any point leaves the old one or the new one in force, and both right.
    /// </summary>
    [Fact]
    public void Leaves_one_of_two_refcount_tables()
    {
        const int ClusterBytes = 512;
        const int Bytes = 12 << 20;
        Qcow2Image.Create(_folder["new"], Bytes, clusterBytes: ClusterBytes);
        using (Qcow2Image image = Qcow2Image.Open(_folder["new"], readOnly: false))
        {
            // One cluster of table counts 8 MiB of file.
            for (int i = 0; new FileInfo(_folder["new"]).Length < (8 << 20) - 16384; i++)
                image.WritePattern(i * 8192, 8192, 1);
        }

        byte[] disk = File.ReadAllBytes(_folder["new"]);
        using RecordingFile file = new("recorded", disk);
        using (Qcow2Image image = Qcow2Image.Open(file, readOnly: false, null)) image.WritePattern(10 << 20, 65536, 2);
        Assert.InRange(file.Snapshot().Length, (8 << 20) + 16384, 9 << 20);

        Random random = new(1);
        List<RecordingFile.Event> unsynced = [];
        foreach (RecordingFile.Event change in file.Events)
        {
            unsynced.Add(change);
            foreach ((string mode, byte[] left) in Cuts(disk, unsynced, random))
                AssertQemuFindsSound(left, Bytes, mode);
            if (change.Bytes is not null) continue;
            foreach (RecordingFile.Event synced in unsynced) synced.ApplyTo(ref disk, _ => true);
            unsynced.Clear();
        }
    }

    [Theory]
    [InlineData("short", "shorter")]
    [InlineData("short", null)]
    [InlineData(null, "short")]
    [InlineData("long", "longer")]
    [InlineData("longer", "short")]
    [InlineData("short", "long")]
    public void Leaves_one_of_two_backing_names(string? before, string? after)
    {
        string? oldName = Lengthen(before);
        string? newName = Lengthen(after);
        Qcow2Image.Create(_folder["new"], DiskBytes, oldName, oldName is null ? null : DiskFormat.Raw);
        byte[] disk = File.ReadAllBytes(_folder["new"]);
        using RecordingFile file = new("recorded", disk);
        using Qcow2Image image = Qcow2Image.Open(file, readOnly: false, null);
        image.SetBacking(null, newName, newName is null ? null : DiskFormat.Qcow2);
        Assert.Equal(newName, image.BackingName);
        Assert.Null(file.Events[^1].Bytes);

        Random random = new(1);
        List<RecordingFile.Event> unsynced = [];
        foreach (RecordingFile.Event change in file.Events)
        {
            foreach ((_, byte[] left) in Cuts(disk, unsynced, random).Append(("none", disk)))
            {
                using Qcow2Image cut = Qcow2Image.Open(new RecordingFile("cut", left), readOnly: true, null);
                Assert.Contains((cut.BackingName, cut.BackingFormat), (IEnumerable<(string?, string?)>)
                    [(oldName, oldName is null ? null : "raw"), (newName, newName is null ? null : "qcow2")]);
            }

            unsynced.Add(change);
            if (change.Bytes is not null) continue;
            foreach (RecordingFile.Event synced in unsynced) synced.ApplyTo(ref disk, _ => true);
            unsynced.Clear();
        }

        using Qcow2Image done = Qcow2Image.Open(new RecordingFile("done", disk), readOnly: true, null);
        Assert.Equal(newName, done.BackingName);
        File.WriteAllBytes(_folder["done"], disk);
        string info = Qemu.Img("info", "--output=json", _folder["done"]);
        if (newName is not null)
            Assert.Contains($"\"backing-filename\": \"{newName}\"", info, StringComparison.Ordinal);
        else
            Assert.DoesNotContain("backing-filename", info, StringComparison.Ordinal);

        static string? Lengthen(string? name) => name is null || name.StartsWith("short", StringComparison.Ordinal)
            ? name
            : string.Concat(Enumerable.Repeat($"{name}/", 1000 / (name.Length + 1))) + "end";
    }

    /// <summary>
    /// What may be left of the file: all that was written, what the worst orders a disk could have chosen leave, and a
    /// random part, torn at sectors.
    /// </summary>
    private static IEnumerable<(string Mode, byte[] Left)> Cuts(
        byte[] disk, List<RecordingFile.Event> unsynced, Random random)
    {
        if (unsynced.Count == 0) yield break;
        double share = random.NextDouble();
        int last = unsynced.Count - 1;
        yield return ("all kept", With(_ => true, _ => true));
        if (last > 0) yield return ("only the last kept", With(i => i == last, _ => true));
        if (last > 1) yield return ("all but the one before the last kept", With(i => i != last - 1, _ => true));
        yield return random.Next(3) switch
        {
            0 => ("nothing kept", disk),
            1 => ("all but the first kept", With(i => i > 0, _ => true)),
            _ => ("sectors kept at random", With(_ => true, _ => random.NextDouble() < share)),
        };

        byte[] With(Func<int, bool> keepWrite, Func<int, bool> keepSector)
        {
            byte[] left = [.. disk];
            for (int i = 0; i < unsynced.Count; i++)
            {
                if (keepWrite(i)) unsynced[i].ApplyTo(ref left, keepSector);
            }

            return left;
        }
    }

    private void AssertSound(byte[] left, CrashWorkload expected, string what, bool askQemu)
    {
        using RecordingFile file = new(what, left);
        using Qcow2Image survivor = Qcow2Image.Open(file, readOnly: true, null);
        expected.AssertHolds(survivor.ReadAll(), what);
        if (!askQemu) return;

        AssertQemuFindsSound(left, DiskBytes, what);
    }

    private void AssertQemuFindsSound(byte[] left, int diskBytes, string what)
    {
        string path = _folder["cut"];
        File.WriteAllBytes(path, left);
        Assert.True(Qemu.Check(path, out string output) is 0 or 3, $"{what}\n{output}");
        // And it goes on working: leaks are all there is.
        using Qcow2Image image = Qcow2Image.Open(path, readOnly: false);
        image.WritePattern(0, Math.Min(diskBytes, 1 << 20), 0x77);
        image.Flush();
        Assert.True(Qemu.Check(path, out output) is 0 or 3, $"{what}, written again\n{output}");
    }
}
