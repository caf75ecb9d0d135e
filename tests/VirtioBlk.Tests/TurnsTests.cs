using System.Diagnostics;
using TestKit.Virtio;
using VirtioBlk.Turns;
using Xunit;

namespace VirtioBlk.Tests;

/// <summary>Whose turn it is on the host's disks. Waiting is tested by what must not have happened yet: a slow host cannot break that.</summary>
public sealed class TurnsTests : IDisposable
{
    private static readonly TimeSpan s_hour = TimeSpan.FromHours(1);
    private readonly DiskActivity _foreground = DiskActivity.Create();

    [Fact]
    public void A_background_waits_for_what_is_at_work_and_for_the_interval_after_it()
    {
        using BackgroundTurns during = new(_foreground, TimeSpan.Zero), after = new(_foreground, s_hour);
        Assert.True(during.TryEnter() && after.TryEnter()); // it has never been used
        _foreground.Enter();
        Assert.False(during.TryEnter() || after.TryEnter());
        _foreground.Leave();
        Assert.True(during.TryEnter());
        Assert.False(after.TryEnter());
    }

    [Fact]
    public void The_interval_is_what_the_foreground_says_and_a_negative_one_ends_it()
    {
        using BackgroundTurns background = new(_foreground);
        _foreground.Enter();
        Assert.False(background.TryEnter());
        _foreground.PreemptionInterval = TimeSpan.FromTicks(-1);
        Assert.True(background.TryEnter());
        _foreground.PreemptionInterval = s_hour;
        _foreground.Leave();
        Assert.False(background.TryEnter());
        _foreground.PreemptionInterval = TimeSpan.Zero;
        Assert.True(background.TryEnter());
    }

    [Fact]
    public void Another_process_sees_the_same()
    {
        using DiskActivity there = DiskActivity.Adopt(_foreground.File.Duplicate().Fd);
        using BackgroundTurns background = new(there, TimeSpan.Zero);
        _foreground.Enter();
        Assert.False(background.TryEnter());
        _foreground.Leave();
        Assert.True(background.TryEnter());
    }

    [Fact]
    public void A_foreground_that_never_rests_lets_one_turn_through_each_time()
    {
        const int threads = 4;
        using BackgroundTurns background = new(_foreground, TimeSpan.Zero);
        _foreground.Enter();
        Stopwatch clock = Stopwatch.StartNew();
        Thread[] waiting = [.. Enumerable.Range(0, threads).Select(_ => new Thread(() => background.Enter()))];
        foreach (Thread thread in waiting) thread.Start();
        foreach (Thread thread in waiting) thread.Join();
        // One after the other, not all at once when the first has lost patience. (Ticks of the clock are up to 16 ms long.)
        Assert.True(clock.Elapsed >= threads * (BackgroundTurns.LeastPatience - TimeSpan.FromMilliseconds(16)), $"{threads} turns in {clock.Elapsed}");
    }

    [Fact]
    public void A_turn_that_was_in_the_foregrounds_way_is_paid_for_with_patience()
    {
        using BackgroundTurns background = new(_foreground, s_hour);
        Assert.Equal(BackgroundTurns.LeastPatience, background.Patience);
        _foreground.Enter();
        background.Leave(Ago(TimeSpan.FromMilliseconds(1)), kind: 0);
        Assert.InRange(background.Patience, TimeSpan.FromMilliseconds(200), BackgroundTurns.MostPatience);
        background.Leave(Ago(s_hour), kind: 0);
        Assert.Equal(BackgroundTurns.MostPatience, background.Patience);
        // It rests since before the next turn has begun.
        _foreground.Leave();
        background.Leave(Stopwatch.GetTimestamp(), kind: 0);
        Assert.Equal(BackgroundTurns.LeastPatience, background.Patience);
    }

    [Fact]
    public void Nobody_pays_for_a_turn_that_need_not_wait_for_rest()
    {
        using BackgroundTurns background = new(_foreground, TimeSpan.Zero);
        _foreground.Enter();
        background.Leave(Ago(s_hour), kind: 0);
        Assert.Equal(BackgroundTurns.LeastPatience, background.Patience);
    }

    [Fact]
    public void Nobody_waits_who_is_waited_for()
    {
        using BackgroundTurns background = new(_foreground, s_hour);
        _foreground.Enter();
        background.Release();
        Assert.True(background.TryEnter());
        background.Enter();
    }

    [Fact]
    public void A_device_of_the_foreground_has_a_turn_while_its_disk_works()
    {
        Signal begun = new(), finish = new();
        using BlkRig rig = new(turns: _foreground);
        using BackgroundTurns background = new(_foreground, TimeSpan.Zero);
        rig.Backend.Before = (operation, _) =>
        {
            if (operation != "Flush") return;
            begun.Set();
            finish.Wait();
        };
        rig.Driver.Queue.Add(rig.Header(BlkDriver.Flush), DriverBuffer.Writable(rig.Blk.NewStatus(), 1));
        rig.Driver.Kick();
        begun.Wait();
        Assert.False(background.TryEnter());
        finish.Set();
        rig.Driver.WaitUsed();
        Assert.True(background.TryEnter());
    }

    [Theory]
    [InlineData(BlkDriver.In, false, 1)]
    [InlineData(BlkDriver.In, true, 0)]
    [InlineData(BlkDriver.Out, true, 1)] // what the page cache takes goes to the disk later
    [InlineData(BlkDriver.Flush, true, 1)]
    public void A_device_of_the_background_waits_for_its_turn_unless_it_need_not_use_the_disk(uint type, bool cached, int turns)
    {
        CountedTurns counted = new();
        using BlkRig rig = new(turns: counted);
        if (cached) rig.Device.SetBackend(rig.Disk, notify: false);
        DriverBuffer status = DriverBuffer.Writable(rig.Blk.NewStatus(), 1);
        if (type == BlkDriver.Flush) rig.Driver.Queue.Add(rig.Header(type), status);
        else rig.Driver.Queue.Add(rig.Header(type), type == BlkDriver.In ? rig.Writable(512) : rig.Readable(512), status);
        rig.Driver.Kick();
        rig.Driver.WaitUsed();
        Assert.Equal((turns, turns), (counted.Entered, counted.Left));
    }

    [Theory]
    [InlineData(BlkDriver.In, BlkDriver.Ok)]
    [InlineData(BlkDriver.Out, BlkDriver.IoError)]
    [InlineData(BlkDriver.Flush, BlkDriver.Ok)]
    public void A_sealed_disk_needs_no_turn(uint type, byte expected)
    {
        CountedTurns counted = new();
        using BlkRig rig = new(turns: counted);
        using SealedDisk sealedDisk = new();
        rig.Device.SetBackend(sealedDisk, notify: false);
        byte status = type switch
        {
            BlkDriver.In => rig.Blk.Read(0, new byte[512]),
            BlkDriver.Out => rig.Blk.Write(0, new byte[512]),
            _ => rig.Blk.Send(type, 0).Status,
        };
        Assert.Equal((expected, 0), (status, counted.Entered));
    }

    public void Dispose() => _foreground.Dispose();

    private static long Ago(TimeSpan time) => Stopwatch.GetTimestamp() - (long)(time.TotalSeconds * Stopwatch.Frequency);

    /// <summary>Never a turn without waiting.</summary>
    private sealed class CountedTurns : IDiskTurns
    {
        private int _entered, _left;

        public int Entered => _entered;

        public int Left => _left;

        public bool TryEnter() => false;

        public long Enter() => Interlocked.Increment(ref _entered);

        public void Leave() => Interlocked.Increment(ref _left);

        public void Leave(long entered, int kind) => Leave();
    }
}
