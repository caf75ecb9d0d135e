using CowMemory;
using TestKit.Virtio;
using Virtio;
using Xunit;

namespace VirtioBlk.Tests;

/// <summary>MQ: several request queues (virtio 1.2 §5.2.2), and what they do with requests side by side.</summary>
public sealed class BlkQueuesTests
{
    [Theory(DisplayName = "5.2.3, 5.2.4: MQ and num_queues with more than one queue")]
    [InlineData(1)]
    [InlineData(3)]
    public void Offered(int queues)
    {
        using BlkRig rig = new(start: false, queues: queues);
        Assert.Equal(queues > 1, (rig.Driver.ReadOffered() & BlkFeatures.MultiQueue) != 0);
        Assert.Equal(queues, rig.Driver.ReadConfig(34, 1)[0]);
        rig.Driver.Write(0x030, (uint)queues - 1);
        Assert.NotEqual(0u, rig.Driver.Read(0x034));
        rig.Driver.Write(0x030, (uint)queues);
        Assert.Equal(0u, rig.Driver.Read(0x034));
    }

    [Fact(DisplayName = "5.2.2: requests of any queue are served, and answered in it; queues left out mean nothing")]
    public void Every_queue()
    {
        using BlkRig rig = new(start: false, queues: 4);
        rig.Driver.Negotiate();
        DriverQueue[] queues = [rig.Driver.SetUpQueue(16), rig.Driver.SetUpQueue(1, 16), rig.Driver.SetUpQueue(3, 16)];
        rig.Driver.Status |= VirtioStatus.DriverOk;
        uint[] numbers = [0, 1, 3];
        for (int i = 0; i < queues.Length; i++)
        {
            DriverBuffer data = rig.Writable(512);
            Gpa status = rig.Blk.NewStatus();
            ushort id = queues[i].Add(rig.Header(BlkDriver.In, (ulong)i), data, DriverBuffer.Writable(status, 1));
            long edges = rig.Line.Edges;
            if (queues[i].Publish()) rig.Driver.Notify(numbers[i]);
            rig.Line.Wait(edges);
            Assert.True(queues[i].TryTake(out UsedElement element));
            Assert.Equal((id, BlkDriver.Ok), (element.Id, rig.Blk.StatusAt(status)));
            Assert.Equal(rig.Disk.Bytes[(512 * i)..(512 * (i + 1))], rig.Bytes(data.Address, 512));
        }

        rig.Driver.Notify(2);
        Assert.Equal(VirtioStatus.None, rig.Driver.Status & VirtioStatus.NeedsReset);
    }

    [Fact(DisplayName = "Requests that wait for the disk wait side by side, and hold up none that need not")]
    public void Side_by_side()
    {
        using BlkRig rig = new();
        using Barrier together = new(8);
        rig.Backend.Before = (_, _) =>
        {
            if (!together.SignalAndWait(20_000)) throw new TimeoutException("They came one after another");
        };
        for (int i = 0; i < 8; i++)
        {
            DriverBuffer tail = DriverBuffer.Writable(rig.Blk.NewStatus(), 1);
            rig.Driver.Queue.Add(rig.Header(BlkDriver.In, (ulong)(100 * i)), rig.Writable(512), tail);
        }

        rig.Driver.Kick();
        for (int i = 0; i < 8; i++) Assert.Equal(513u, rig.Driver.WaitUsed().Length);
        Assert.Null(rig.Device.LastHostError);
    }

    [Theory(DisplayName = "Adjacent requests of a batch reach the disk as one, in order; if that fails each for itself")]
    [InlineData(BlkDriver.In, false)]
    [InlineData(BlkDriver.Out, false)]
    [InlineData(BlkDriver.In, true)]
    [InlineData(BlkDriver.Out, true)]
    public void Adjacent(uint type, bool failing)
    {
        using BlkRig rig = new();
        bool write = type == BlkDriver.Out;
        List<long> calls = [];
        rig.Backend.Before = (_, offset) =>
        {
            lock (calls) calls.Add(offset);
            if (failing && (calls.Count == 1 || offset == 512)) throw new IOException("a bad sector");
        };
        (DriverBuffer Data, Gpa Status)[] sent = new (DriverBuffer, Gpa)[4];
        for (int i = 0; i < 4; i++)
        {
            DriverBuffer data = rig.Writable(512) with { DeviceWritable = !write };
            if (write) rig.Memory.Memory.Write(data.Address, 512).Fill((byte)(i + 1));
            sent[i] = (data, rig.Blk.NewStatus());
            rig.Driver.Queue.Add(rig.Header(type, (ulong)i), data, DriverBuffer.Writable(sent[i].Status, 1));
        }

        rig.Driver.Kick();
        for (int i = 0; i < 4; i++) rig.Driver.WaitUsed();
        Assert.Equal(failing ? [0, 0, 512, 1024, 1536] : [0], calls);
        for (int i = 0; i < 4; i++)
        {
            bool bad = failing && i == 1;
            Assert.Equal(bad ? BlkDriver.IoError : BlkDriver.Ok, rig.Blk.StatusAt(sent[i].Status));
            if (!bad) Assert.Equal(rig.Disk.Bytes[(512 * i)..(512 * (i + 1))], rig.Bytes(sent[i].Data.Address, 512));
        }

        Assert.Equal(failing ? 1 : 0, rig.Device.Counters.HostErrors);
    }
}
