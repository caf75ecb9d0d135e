using CowMemory;
using TestKit.Disks;
using TestKit.Virtio;
using Virtio;
using Xunit;

namespace VirtioBlk.Tests;

/// <summary>A flush that takes long holds up nothing: not reads, not a pause, not a reset.</summary>
public sealed class BlkFlushTests
{
    private readonly Signal _begun = new(), _finish = new();

    private BlkRig Rig(ulong unwanted = 0)
    {
        BlkRig rig = new(unwanted: unwanted);
        rig.Backend.Before = (operation, _) =>
        {
            if (operation != "Flush") return;
            _begun.Set();
            _finish.Wait();
        };
        return rig;
    }

    private static (ushort Id, Gpa Status) Publish(BlkRig rig, uint type, bool data = false)
    {
        Gpa status = rig.Blk.NewStatus();
        DriverBuffer header = rig.Header(type), tail = DriverBuffer.Writable(status, 1);
        ushort id = data ? rig.Driver.Queue.Add(header, rig.Readable(512), tail) : rig.Driver.Queue.Add(header, tail);
        rig.Driver.Kick();
        return (id, status);
    }

    [Fact(DisplayName = "Reads and writes go on beside a flush")]
    public void Others_go_on()
    {
        using BlkRig rig = Rig();
        (ushort flush, Gpa status) = Publish(rig, BlkDriver.Flush);
        _begun.Wait();
        Assert.Equal(BlkDriver.Ok, rig.Blk.Read(0, new byte[512]));
        Assert.Equal(BlkDriver.Ok, rig.Blk.Write(0, new byte[512]));
        Assert.Equal(BlkDriver.NoStatus, rig.Blk.StatusAt(status));
        Assert.Equal(1, rig.Device.InFlight);
        _finish.Set();
        Assert.Equal(flush, rig.Driver.WaitUsed().Id);
        Assert.Equal(BlkDriver.Ok, rig.Blk.StatusAt(status));
    }

    [Theory(DisplayName = "Suspend does not wait for a flush: it is executed and answered where the state is loaded, once")]
    [InlineData(false)]
    [InlineData(true)]
    public void Moves_to_another_device(bool writeThrough)
    {
        // Without FLUSH and CONFIG_WCE a write flushes by itself before it is answered.
        ulong unwanted = writeThrough ? BlkFeatures.Flush | BlkFeatures.ConfigWriteCache : 0;
        using BlkRig rig = Rig(unwanted);
        (ushort id, Gpa status) = Publish(rig, writeThrough ? BlkDriver.Out : BlkDriver.Flush, data: writeThrough);
        _begun.Wait();
        rig.Transport.Suspend(); // returns, while the flush hangs
        VirtioTransportState saved = rig.Transport.Save();
        Assert.Equal([id], saved.Queues[0].Returned);
        Assert.Equal((1, 0), (saved.Queues[0].NextAvail, saved.Queues[0].NextUsed));

        using MemoryDisk disk = new(BlkRig.DiskBytes);
        using VirtioBlkDevice device = new(disk, "system0", "blk1");
        TestLine line = new();
        VirtioMmioTransport transport = new(device, rig.Memory.Memory, line);
        transport.Load(saved);
        Assert.Equal(0, disk.Flushes);
        transport.Resume();
        line.Wait(0);
        Assert.Equal((BlkDriver.Ok, 1, 1), (rig.Blk.StatusAt(status), rig.Driver.Queue.UsedIndex, disk.Flushes));
        Assert.Equal(writeThrough ? 1 : 0, disk.Writes);

        transport.Suspend(); // it may be about to ask for the next notification, in memory
        byte[] memory = rig.Bytes(new Gpa(0x1000), 1 << 16);
        _finish.Set(); // the abandoned one comes back, and finds nobody
        rig.Device.Dispose();
        Assert.Equal(memory, rig.Bytes(new Gpa(0x1000), 1 << 16));
        Assert.Equal((0L, 0L), (rig.Line.Edges, rig.Device.Counters.Requests));
    }

    [Fact(DisplayName = "Resume after a suspended flush: it is executed again and answered once")]
    public void Goes_on_in_the_same_device()
    {
        using BlkRig rig = Rig();
        (ushort id, Gpa status) = Publish(rig, BlkDriver.Flush);
        _begun.Wait();
        for (int i = 0; i < 100; i++)
        {
            rig.Transport.Suspend();
            rig.Transport.Resume();
        }

        Assert.InRange(rig.Device.InFlight, 0, 2); // what is abandoned does not pile up
        _finish.Set();
        Assert.Equal(id, rig.Driver.WaitUsed().Id);
        Assert.Equal(BlkDriver.Ok, rig.Blk.StatusAt(status));
        Assert.Equal(BlkDriver.Ok, rig.Blk.Read(0, new byte[512]));
        Assert.Equal(2, rig.Driver.Queue.UsedIndex);
    }

    [Fact(DisplayName = "2.4.1: a reset does not wait for a flush, which then touches nothing")]
    public void Reset()
    {
        using BlkRig rig = Rig();
        for (int i = 0; i < 20; i++)
        {
            Publish(rig, BlkDriver.Flush);
            _begun.Wait();
            rig.Driver.Start();
        }

        Assert.InRange(rig.Device.InFlight, 0, 2);
        Assert.Equal(BlkDriver.Ok, rig.Blk.Read(0, new byte[512]));
        _finish.Set();
        Assert.Equal(BlkDriver.Ok, rig.Blk.Send(BlkDriver.Flush, 0).Status);
        Assert.Equal(2, rig.Driver.Queue.UsedIndex);
    }

    [Fact(DisplayName = "Flushes that wait together are answered by one call")]
    public void Together()
    {
        using BlkRig rig = Rig();
        Publish(rig, BlkDriver.Flush);
        _begun.Wait();
        for (int i = 0; i < 10; i++) Publish(rig, BlkDriver.Flush);
        while (rig.Device.InFlight < 11) Thread.Yield();
        _finish.Set();
        for (int i = 0; i < 11; i++) rig.Driver.WaitUsed();
        Assert.Equal(2, rig.Disk.Flushes);
    }
}
