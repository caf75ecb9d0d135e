using System.Diagnostics;
using CowMemory;
using TestKit.Disks;
using TestKit.Virtio;
using Virtio;
using Xunit;

namespace VirtioBlk.Tests;

/// <summary>
/// Starting, stopping, resetting the device, and what it does with requests that are there meanwhile.
/// </summary>
public sealed class BlkLifecycleTests
{
    /// <summary>Puts a read into the ring and shows it to the device.</summary>
    private static (ushort Id, Gpa Status) Publish(BlkRig rig)
    {
        Gpa status = rig.Blk.NewStatus();
        ushort id = rig.Driver.Queue.Add(rig.Header(BlkDriver.In), rig.Writable(512), DriverBuffer.Writable(status, 1));
        rig.Driver.Kick();
        return (id, status);
    }

    [Fact(DisplayName = "2.1.2: nothing is consumed before DRIVER_OK; then, without a notification, what is there")]
    public void Requests_from_before_activation()
    {
        using BlkRig rig = new(start: false);
        rig.Driver.Negotiate();
        rig.Driver.SetUpQueue(16);
        (ushort id, Gpa status) = Publish(rig);
        rig.Driver.Notify();
        rig.Device.Deactivate(); // takes the gate: the thread has looked, or will find nothing
        Assert.Equal((0, 0), (rig.Disk.Reads, rig.Driver.Queue.UsedIndex));
        rig.Driver.Status |= VirtioStatus.DriverOk;
        Assert.Equal(id, rig.Driver.WaitUsed().Id);
        Assert.Equal(BlkDriver.Ok, rig.Blk.StatusAt(status));
    }

    [Fact(DisplayName = "2.7.10.2: spurious notifications MUST be handled")]
    public void Spurious_notifications()
    {
        using BlkRig rig = new();
        for (int i = 0; i < 100; i++) rig.Driver.Notify();
        Assert.Equal(BlkDriver.Ok, rig.Blk.Read(0, new byte[512]));
        for (int i = 0; i < 100; i++) rig.Driver.Notify();
        Assert.Equal(1, rig.Device.Counters.Requests);
    }

    [Fact]
    public void Suspend_waits_for_the_request_at_work_and_no_other_begins()
    {
        using BlkRig rig = new();
        Signal begun = new(), finish = new();
        int served = 0;
        rig.Backend.Before = (_, _) =>
        {
            served++;
            begun.Set();
            finish.Wait();
        };
        (ushort first, Gpa status) = Publish(rig);
        begun.Wait();

        Signal suspended = new();
        Thread pausing = new(() =>
        {
            rig.Transport.Suspend();
            suspended.Set();
        });
        pausing.Start();
        // There is no event for what must not happen: a moment has to do.
        Assert.False(suspended.ComesWithin(TimeSpan.FromMilliseconds(50)));
        (ushort second, _) = Publish(rig);
        finish.Set();
        suspended.Wait();
        pausing.Join();
        Assert.Equal((1, 1), (served, rig.Driver.Queue.UsedIndex));
        Assert.Equal(BlkDriver.Ok, rig.Blk.StatusAt(status));
        rig.Driver.Notify();
        VirtqueueState state = rig.Transport.Save().Queues[0];
        Assert.Equal((1, 1), (state.NextAvail, state.NextUsed));

        rig.Transport.Resume();
        Assert.Equal(first, rig.Driver.WaitUsed().Id);
        Assert.Equal(second, rig.Driver.WaitUsed().Id);
        Assert.Equal(2, served);
    }

    [Fact]
    public void Suspend_gives_up_at_its_limit_and_Resume_takes_it_back()
    {
        using BlkRig rig = new();
        Signal begun = new(), finish = new();
        int served = 0;
        rig.Backend.Before = (_, _) =>
        {
            if (Interlocked.Increment(ref served) > 1) return;
            begun.Set();
            finish.Wait();
        };
        (ushort first, _) = Publish(rig);
        begun.Wait();
        Assert.False(rig.Transport.Suspend(limit: Environment.TickCount64));
        (ushort second, _) = Publish(rig);
        Assert.Throws<InvalidOperationException>(rig.Transport.Save);
        rig.Transport.Resume();
        // The other does not wait for the one that hangs.
        Assert.Equal(second, rig.Driver.WaitUsed().Id);
        finish.Set();
        Assert.Equal(first, rig.Driver.WaitUsed().Id);
        Assert.Equal(2, served);
        Assert.True(rig.Transport.Suspend(limit: Environment.TickCount64 + 20_000));
    }

    [Theory(DisplayName = "A long request holds no pause up: it is given back in the middle, and done from its beginning by who goes on")]
    [InlineData(BlkDriver.In)]
    [InlineData(BlkDriver.Out)]
    public void Suspend_in_the_middle_of_a_long_request(uint type)
    {
        const int length = 9 << 20;
        using TestMemory memory = new(32 << 20);
        MemoryDisk disk = new(16 << 20);
        FaultInjectingDisk backend = new(disk);
        using VirtioBlkDevice device = new(backend, "", "blk0");
        TestLine line = new();
        VirtioMmioTransport transport = new(device, memory.Memory, line);
        MockDriver driver = new(transport, memory, line);
        BlkDriver blk = new(driver);
        driver.Start();
        Gpa data = memory.Allocate(length), status = blk.NewStatus();
        Span<byte> content = new byte[length];
        new Random(3).NextBytes(content);
        if (type == BlkDriver.In) content.CopyTo(disk.Bytes.AsSpan(512));
        else content.CopyTo(memory.Memory.Write(data, length));
        Signal begun = new(), finish = new();
        List<long> offsets = [];
        backend.Before = (_, offset) =>
        {
            offsets.Add(offset);
            if (offsets.Count > 1) return;
            begun.Set();
            finish.Wait();
        };
        // Two buffers, neither of which ends where a piece does.
        bool writable = type == BlkDriver.In;
        const uint first = (5 << 20) + 512;
        driver.Queue.Add(
            DriverBuffer.Readable(memory.Place(blk.Header(type, 1)), 16),
            new DriverBuffer(data, first, writable), new DriverBuffer(data + first, length - first, writable),
            DriverBuffer.Writable(status, 1));
        driver.Kick();
        begun.Wait();
        Assert.False(transport.Suspend(limit: Environment.TickCount64)); // asked for, and not waited for
        finish.Set();
        Assert.True(transport.Suspend());
        Assert.Equal([512L], offsets);
        Assert.Equal(0, driver.Queue.UsedIndex);
        Assert.Single(transport.Save().Queues[0].Returned);

        transport.Resume();
        driver.WaitUsed();
        Assert.Equal(BlkDriver.Ok, blk.StatusAt(status));
        Assert.Equal([512L, 512, 512 + (4 << 20), 512 + (8 << 20)], offsets);
        Assert.Equal(memory.Memory.Read(data, length), disk.Bytes.AsSpan(512, length));
        Assert.Equal(content, disk.Bytes.AsSpan(512, length));
    }

    [Fact]
    public void Suspending_an_idle_device_does_not_wake_its_thread()
    {
        using BlkRig rig = new();
        rig.Blk.Read(0, new byte[512]);
        // The median of many: a busy host takes the CPU away for longer than any of this takes.
        const int times = 100;
        double[] micros = [.. Enumerable.Range(0, 101).Select(_ =>
        {
            long start = Stopwatch.GetTimestamp();
            for (int i = 0; i < times; i++) rig.Transport.Suspend();
            return Stopwatch.GetElapsedTime(start).TotalMicroseconds / times;
        }).Order()];
        Assert.InRange(micros[50], 0, 10); // a wake-up alone takes more
        rig.Transport.Resume();
        Assert.Equal(BlkDriver.Ok, rig.Blk.Read(0, new byte[512]));
    }

    [Fact(DisplayName = "2.4.1: a reset waits for the request at work; afterwards nothing is touched")]
    public void Reset_with_a_request_at_work()
    {
        using BlkRig rig = new();
        Signal begun = new(), finish = new();
        rig.Backend.Before = (_, _) =>
        {
            begun.Set();
            finish.Wait();
        };
        Publish(rig);
        Publish(rig);
        begun.Wait();
        Thread guest = new(() => rig.Driver.Status = VirtioStatus.None);
        guest.Start();
        finish.Set();
        guest.Join();
        Assert.Equal(0u, rig.Driver.Read(0x060));
        byte[] memory = rig.Bytes(new Gpa(0x1000), 1 << 16);
        rig.Driver.Notify();
        rig.Driver.Notify();
        Assert.Equal(VirtioStatus.None, rig.Driver.Status);
        Assert.Equal(memory, rig.Bytes(new Gpa(0x1000), 1 << 16));

        rig.Backend.Before = null;
        rig.Driver.Start();
        Assert.Equal(BlkDriver.Ok, rig.Blk.Read(0, new byte[512]));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Dispose_ends_the_thread(bool suspended)
    {
        BlkRig rig = new();
        Publish(rig);
        if (suspended) rig.Transport.Suspend();
        rig.Device.Dispose();
        rig.Memory.Dispose(); // nobody there to notice
        Assert.InRange(rig.Device.Counters.Requests, 0, 1);
    }

    [Fact(DisplayName = "Requests in the ring move: saved here, served there, their interrupt raised there")]
    public void Requests_move()
    {
        using BlkRig rig = new();
        rig.Transport.Suspend();
        (ushort first, Gpa firstStatus) = Publish(rig);
        (ushort second, Gpa secondStatus) = Publish(rig);
        VirtioTransportState saved = rig.Transport.Save();

        MemoryDisk disk = new(BlkRig.DiskBytes);
        using VirtioBlkDevice device = new(disk, "system0", "blk1");
        TestLine line = new();
        VirtioMmioTransport transport = new(device, rig.Memory.Memory, line);
        transport.Load(saved);
        Assert.Equal(0, disk.Reads);
        MockDriver driver = rig.Driver;
        driver.Registers = transport;
        transport.Resume(); // and no notification
        line.Wait(0);
        while (driver.Queue.UsedIndex < 2) line.Wait(line.Edges - 1);
        uint[] answered = [driver.WaitUsed().Id, driver.WaitUsed().Id];
        Assert.Equal([first, second], answered.Order());
        Assert.Equal((BlkDriver.Ok, BlkDriver.Ok), (rig.Blk.StatusAt(firstStatus), rig.Blk.StatusAt(secondStatus)));
        Assert.Equal((0, 2), (rig.Disk.Reads, disk.Reads));
        Assert.Equal(0, rig.Line.Edges);
    }
}
