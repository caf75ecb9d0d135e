using System.Diagnostics;

namespace VirtioBlk.Store.Tests;

/// <summary>
/// kill -9 at random moments of a process that writes: sound but for leaks, and everything flushed is there.
/// </summary>
public sealed class KillTests : IDisposable
{
    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void A_killed_writer_leaves_what_it_had_flushed()
    {
        int layers = 0;
        for (int round = 0; round < CrashScale.WriterKills / 2; round++)
        {
            string path = _folder["disk"];
            Qcow2Image.Create(path, CrashWriter.DiskBytes, clusterBytes: CrashWriter.ClusterBytes);
            byte[] content = RunAndKill(CrashWriter.WriteArgument, ref path, round, new byte[CrashWriter.DiskBytes]);
            // And a new process goes on from there.
            RunAndKill(CrashWriter.WriteArgument, ref path, round + 10_000, content);
            foreach (string layer in Directory.GetFiles(_folder.Path))
            {
                // The next one was being made; nobody has been told of it.
                if (string.CompareOrdinal(layer, path) > 0) continue;
                Assert.True(Qemu.Check(layer, out string output) is 0 or 3, $"{layer}: {output}");
                layers++;
            }

            foreach (string layer in Directory.GetFiles(_folder.Path)) File.Delete(layer);
        }

        CrashScale.Report($"killed writers: {CrashScale.WriterKills}, {layers} layers checked, nothing lost");
    }

    [Fact]
    public void A_merger_killed_again_and_again_ends_with_the_same_disk()
    {
        int kills = 0;
        for (int chain = 0; kills < CrashScale.MergerKills; chain++)
        {
            kills += KillMergersUntilMerged(seed: 20_000 + chain * 1000);
            foreach (string layer in Directory.GetFiles(_folder.Path)) File.Delete(layer);
        }

        CrashScale.Report($"killed mergers: {kills}, nothing lost");
    }

    /// <returns>How many there were.</returns>
    private int KillMergersUntilMerged(int seed)
    {
        string path = _folder["top"];
        byte[] content = DiskIo.RandomBytes(CrashWriter.DiskBytes, 6);
        Qcow2Image.Create(_folder["base"], CrashWriter.DiskBytes, clusterBytes: 65536);
        Qcow2Image.Create(_folder["middle"], CrashWriter.DiskBytes, "base", DiskFormat.Qcow2, CrashWriter.ClusterBytes);
        Qcow2Image.Create(path, CrashWriter.DiskBytes, "middle", DiskFormat.Qcow2, CrashWriter.ClusterBytes);
        // Sectors stamped 0, as the workload expects them to be before it begins; elsewhere in the chain there is other
        // data.
        using (IDiskLayer disk = DiskChain.Open(_folder["base"], DiskFormat.Qcow2, readOnly: false))
            disk.WriteBytes(0, content);
        using (IDiskLayer disk = DiskChain.Open(_folder["middle"], DiskFormat.Qcow2, readOnly: false))
        {
            disk.WritePattern(0, CrashWriter.DiskBytes / 2, 0);
            disk.WriteZeroes(CrashWriter.DiskBytes / 2, CrashWriter.DiskBytes / 2, mayUnmap: true);
        }

        content = new byte[CrashWriter.DiskBytes];
        for (int round = 0; round < 200; round++)
        {
            bool merged = !File.Exists(_folder["middle"]);
            content = RunAndKill(CrashWriter.MergeArgument, ref path, seed + round, content);
            foreach (string layer in (string[])["base", "middle", "top"])
            {
                if (File.Exists(_folder[layer]))
                    Assert.True(Qemu.Check(_folder[layer], out string output) is 0 or 3, $"{layer}: {output}");
            }

            if (merged) return round + 1;
        }

        throw new InvalidOperationException("the merge never got to its end");
    }

    /// <returns>What is on the disk afterwards, which has been found to be right.</returns>
    private byte[] RunAndKill(string verb, ref string path, int seed, byte[] before)
    {
        Random random = new(seed);
        int flushes = random.Next(1, 25);
        using Process writer = CrashWriter.Start(verb, path, seed);
        Assert.Equal("open", writer.StandardOutput.ReadLine());
        List<string> acknowledged = [];
        while (acknowledged.Count < flushes) acknowledged.Add(writer.StandardOutput.ReadLine()!);
        // Somewhere between two flushes, or inside one.
        long until = Stopwatch.GetTimestamp() + random.NextInt64(Stopwatch.Frequency / 300);
        while (Stopwatch.GetTimestamp() < until)
        {
        }

        writer.Kill();
        acknowledged.AddRange(writer.StandardOutput.ReadToEnd().Split('\n', StringSplitOptions.RemoveEmptyEntries));
        writer.WaitForExit();
        Assert.Equal(128 + 9, writer.ExitCode);

        CrashWorkload expected = new(CrashWriter.DiskBytes, CrashWriter.ClusterBytes, seed);
        expected.StartFrom(before);
        string? fork = acknowledged.FindLast(line => line.StartsWith("fork ", StringComparison.Ordinal));
        if (fork is not null) path = fork["fork ".Length..];
        int flushed = int.Parse(acknowledged.FindLast(line => char.IsAsciiDigit(line[0])) ?? "0");
        int operation = 0;
        while (operation < flushed)
        {
            operation++;
            expected.Next(null);
        }

        expected.Settle();
        // What it did after that, up to the next flush it could have said it had done; one it did may not have been
        // said.
        for (int more = 0; more < 2;)
        {
            if (expected.Next(null)) more++;
        }

        using IDiskLayer disk = DiskChain.Open(path, DiskFormat.Qcow2, readOnly: true);
        byte[] content = disk.ReadAll();
        expected.AssertHolds(content, path);
        Assert.True(content.AsSpan().SequenceEqual(Qemu.ReadAll(path, "qcow2", _folder)));
        return content;
    }
}
