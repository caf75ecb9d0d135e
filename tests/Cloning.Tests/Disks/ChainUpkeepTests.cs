using System.Diagnostics;
using System.Globalization;
using Cloning.After;
using Cloning.Instances;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using VirtioBlk.Turns;
using Xunit;

namespace Cloning.Tests.Disks;

/// <summary>Chains become short, whatever comes in between, and read the same all along.</summary>
public sealed class ChainUpkeepTests : IDisposable
{
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(60);

    private readonly string _folder = Directory.CreateTempSubdirectory("bgkvm-upkeep-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Ten_layers_become_three_while_the_guest_writes()
    {
        byte[] content;
        using (ChainRig chain = ChainRig.Create(_folder))
        {
            StampedWrites writes = Grow(chain, layers: 10);
            using ChainUpkeep upkeep = Upkeep(chain);
            Assert.Equal(new UpkeepStatus(0, 7L * ChainRig.DiskBytes, null), upkeep.Status);
            upkeep.Resume();
            while (!upkeep.Work.IsCompleted) writes.Next(chain.Disk.Device);
            await upkeep.Work;
            Assert.Null(upkeep.Status);
            Assert.Equal(3, chain.Disk.Layers.Count);
            content = chain.ReadAll();
            new StampedWrites(1, 1).AssertHolds(new byte[ChainRig.DiskBytes], content, flushed: writes.Last);
        }

        Assert.Equal(2, Directory.GetFiles(Path.Combine(_folder, "layers")).Length);
        ChainRig.AssertSound(_folder, content);
    }

    [Fact]
    public async Task Nothing_is_merged_before_its_turn()
    {
        using ChainRig chain = ChainRig.Create(_folder);
        Grow(chain, layers: 4);
        using GatedTurns turns = new();
        using ChainUpkeep upkeep = new(chain, new InstanceLog(NullLogger.Instance)) { Turns = turns };
        upkeep.Resume();
        Assert.True(turns.Asked.Wait(s_limit, TestContext.Current.CancellationToken));
        Assert.Equal(ChainRig.DiskBytes, upkeep.Status!.LeftBytes); // it has not looked at anything yet
        turns.Open.Set();
        await upkeep.Work;
        Assert.Equal(3, chain.Disk.Layers.Count);
        Assert.True(turns.Count > 1, "one turn for a whole merge");
    }

    private sealed class GatedTurns : IDiskTurns, IDisposable
    {
        public ManualResetEventSlim Asked { get; } = new();
        public ManualResetEventSlim Open { get; } = new();
        public int Count { get; private set; }

        public bool TryEnter() => false;

        public long Enter()
        {
            Count++;
            Asked.Set();
            Open.Wait(s_limit);
            return 0;
        }

        public void Leave()
        {
        }

        public void Leave(long entered, int kind)
        {
        }

        public void Dispose()
        {
            Asked.Dispose();
            Open.Dispose();
        }
    }

    [Fact]
    public async Task Killed_at_random_moments_it_leaves_a_chain_that_opens_and_reads_the_same()
    {
        // 12 kills take about 20 s; BGKVM_UPKEEP_KILLS asks for more.
        int kills = Environment.GetEnvironmentVariable("BGKVM_UPKEEP_KILLS") is { Length: > 0 } more
            ? int.Parse(more, CultureInfo.InvariantCulture) : 12;
        ChainRig.Create(_folder).Dispose();
        Random random = new(kills);
        byte[] before = new byte[ChainRig.DiskBytes];
        int stamp = 1, cutOff = 0;
        for (int kill = 0; kill < kills; kill++)
        {
            using (ChainRig chain = ChainRig.Open(_folder))
            {
                while (chain.Disk.Layers.Count < 6)
                {
                    StampedWrites writes = new(stamp, stamp);
                    for (int i = 0; i < 200; i++) writes.Next(chain.Disk.Device);
                    stamp = writes.Last + 1;
                    chain.AddLayer();
                }

                before = chain.ReadAll();
            }

            using Process process = UpkeepProcess.Start(_folder, stamp);
            Assert.Equal("open", await process.StandardOutput.ReadLineAsync(TestContext.Current.CancellationToken));
            long until = Stopwatch.GetTimestamp() + random.NextInt64(Stopwatch.Frequency / 5);
            Task<string> said = process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
            while (Stopwatch.GetTimestamp() < until) Thread.Yield();
            process.Kill();
            await process.WaitForExitAsync(TestContext.Current.CancellationToken);
            string[] flushed = (await said).Split('\n', StringSplitOptions.RemoveEmptyEntries);
            int last = flushed.Length > 0 ? int.Parse(flushed[^1], CultureInfo.InvariantCulture) : 0;

            byte[] after;
            using (ChainRig chain = ChainRig.Open(_folder))
            {
                after = chain.ReadAll();
                if (chain.Disk.Layers.Count > ChainUpkeep.RestDepth) cutOff++;
            }

            new StampedWrites(stamp, stamp).AssertHolds(before, after, last);
            ChainRig.AssertSound(_folder, after);
            stamp = Math.Max(stamp, last) + 1000;
        }

        Assert.True(cutOff * 4 >= kills, $"only {cutOff} of {kills} kills came before the merging was done");
    }

    [Fact]
    public async Task What_the_manifest_does_not_take_is_tried_again_and_nothing_is_merged_into_the_users_image()
    {
        int refused = 0;
        byte[] content;
        using (ChainRig chain = ChainRig.Create(_folder))
        {
            Grow(chain, layers: 4);
            content = chain.ReadAll();
            chain.RefusesManifest = _ => refused++ < 2;
            using ChainUpkeep upkeep =
                new(chain, new InstanceLog(NullLogger.Instance)) { RetryAfter = TimeSpan.FromMilliseconds(10) };
            upkeep.Resume();
            await upkeep.Work.WaitAsync(s_limit, TestContext.Current.CancellationToken);
            Assert.Equal(3, refused);
        }

        AssertAtRest(content);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task After_a_merge_that_the_manifest_did_not_take_may_come_a_fork_or_another_process(bool otherProcess)
    {
        byte[] content;
        ChainRig chain = ChainRig.Create(_folder);
        try
        {
            StampedWrites writes = Grow(chain, layers: 4);
            RefuseRest(chain);
            Assert.Equal(4, chain.Disk.Layers.Count);
            if (otherProcess)
            {
                chain.Dispose();
                chain = ChainRig.Open(_folder);
            }

            // What the merged layer hides in the layers below it is written again, above it.
            foreach (StampedWrites again in (StampedWrites[])[new(1, 1000), writes])
            {
                for (int i = 0; i < 100; i++) again.Next(chain.Disk.Device);
                if (again != writes) chain.AddLayer();
            }

            RefuseRest(chain);
            Assert.Equal(4, chain.Disk.Layers.Count);
            content = chain.ReadAll();
        }
        finally
        {
            chain.Dispose();
        }

        using (chain = ChainRig.Open(_folder))
        {
            Assert.True(content.AsSpan().SequenceEqual(chain.ReadAll()), "the manifest names another disk");
            using ChainUpkeep upkeep = Upkeep(chain);
            upkeep.Resume();
            await upkeep.Work.WaitAsync(s_limit, TestContext.Current.CancellationToken);
        }

        AssertAtRest(content);
    }

    /// <summary>Lets upkeep merge, on a host that does not take the manifest of a chain at rest.</summary>
    private static void RefuseRest(ChainRig chain)
    {
        Tells log = new();
        chain.RefusesManifest = layers => layers == ChainUpkeep.RestDepth;
        using ChainUpkeep upkeep = new(chain, new InstanceLog(log));
        upkeep.Resume();
        log.Wait(s_limit);
    }

    private void AssertAtRest(byte[] content)
    {
        using (ChainRig chain = ChainRig.Open(_folder))
        {
            Assert.Equal(ChainUpkeep.RestDepth, chain.Disk.Layers.Count);
            Assert.True(content.AsSpan().SequenceEqual(chain.ReadAll()), "the disk reads otherwise");
        }

        Assert.Equal(2, Directory.GetFiles(Path.Combine(_folder, "layers")).Length);
        Assert.False(File.ReadAllBytes(Path.Combine(_folder, "base.img")).AsSpan().ContainsAnyExcept((byte)0), "the user's image was written");
        ChainRig.AssertSound(_folder, content);
    }

    [Fact]
    public async Task Pausing_does_not_wait_for_the_merge()
    {
        using ChainRig chain = ChainRig.Create(_folder);
        Grow(chain, layers: 5);
        using ChainUpkeep upkeep = Upkeep(chain);
        for (int times = 0; chain.Disk.Layers.Count > 3; times++)
        {
            Assert.True(times < 1500, "it does not get anywhere");
            upkeep.Resume();
            // As short as can be at first, so that some are cut off early in a merge; in the end a quarter of a second.
            long until = Stopwatch.GetTimestamp() + (Stopwatch.Frequency * times * times / 10_000_000);
            while (Stopwatch.GetTimestamp() < until && !upkeep.Work.IsCompleted) Thread.Yield();
            UpkeepStatus? working = upkeep.Status;
            Stopwatch clock = Stopwatch.StartNew();
            upkeep.Pause();
            Assert.True(clock.ElapsedMilliseconds < 2000, $"{clock.ElapsedMilliseconds} ms, at {working}");
            Assert.True(upkeep.Work.IsCompletedSuccessfully);
            await upkeep.Work;
        }
    }

    [Fact]
    public void A_full_host_stops_it_is_told_and_is_tried_again()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "only root can mount a small file system");
        Mounted(sizeMiB: 150, () =>
        {
            Tells log = new();
            using ChainRig chain = ChainRig.Create(_folder);
            Grow(chain, layers: 6);
            byte[] content = chain.ReadAll();
            string ballast = Path.Combine(_folder, "ballast");
            using (FileStream file = File.Create(ballast))
            {
                byte[] megabyte = new byte[1 << 20];
                while (new DriveInfo(_folder).AvailableFreeSpace > ChainUpkeep.HeadroomBytes / 2) file.Write(megabyte);
            }

            int before = chain.Disk.Layers.Count;
            using ChainUpkeep upkeep = new(chain, new InstanceLog(log)) { RetryAfter = TimeSpan.FromMilliseconds(50) };
            upkeep.Resume();
            log.Wait(s_limit);
            Assert.Contains("merging leaves 64 MiB to the guest's writes", upkeep.Status?.Problem, StringComparison.Ordinal);
            Assert.Equal(before, chain.Disk.Layers.Count);
            File.Delete(ballast);
            Assert.True(upkeep.Work.Wait(s_limit));
            Assert.Null(upkeep.Status);
            Assert.Equal(3, chain.Disk.Layers.Count);
            Assert.True(content.AsSpan().SequenceEqual(chain.ReadAll()));
        });
    }

    private static StampedWrites Grow(ChainRig chain, int layers)
    {
        StampedWrites writes = new(1, 1);
        while (chain.Disk.Layers.Count < layers)
        {
            for (int i = 0; i < 100; i++) writes.Next(chain.Disk.Device);
            chain.AddLayer();
        }

        return writes;
    }

    private static ChainUpkeep Upkeep(ChainRig chain) => new(chain, new InstanceLog(NullLogger.Instance));

    private void Mounted(int sizeMiB, Action action)
    {
        Assert.Equal(0, Tool.Run("mount", "-t", "tmpfs", "-o", $"size={sizeMiB}m", "tmpfs", _folder).Status);
        try
        {
            action();
        }
        finally
        {
            Tool.Run("umount", _folder);
        }
    }

    /// <summary>A log that can be waited for.</summary>
    private sealed class Tells : ILogger
    {
        private readonly TaskCompletionSource _told = new();

        public void Wait(TimeSpan limit) => Assert.True(_told.Task.Wait(limit), "nothing was logged");

        public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(
            LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (logLevel >= LogLevel.Warning) _told.TrySetResult();
        }
    }
}
