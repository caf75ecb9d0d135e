using CowMemory;
using TestKit.Virtio;
using Virtio;
using Xunit;

namespace VirtioBlk.Tests;

/// <summary>
/// How a request is cut into descriptors means nothing (virtio 1.2 §2.7.4.1: MUST NOT assume); what cannot be a
/// request.
/// </summary>
public sealed class BlkFramingTests
{
    [Fact(DisplayName = "2.7.4.1: a header byte by byte")]
    public void Header_in_pieces()
    {
        using BlkRig rig = new();
        byte[] header = rig.Blk.Header(BlkDriver.In, 5);
        DriverBuffer data = rig.Writable(512);
        Gpa status = rig.Blk.NewStatus();
        DriverBuffer[] chain =
        [
            .. header.Select(b => DriverBuffer.Readable(rig.Memory.Place([b]), 1)),
            data,
            DriverBuffer.Writable(status, 1),
        ];
        Assert.Equal((BlkDriver.Ok, 513u), rig.Blk.Finish(rig.Driver.Queue.Add(chain), status));
        Assert.Equal(rig.Disk.Bytes[2560..3072], rig.Bytes(data.Address, 512));
    }

    [Fact(DisplayName = "2.7.4.1: header and data in one buffer, data and status in one buffer")]
    public void Header_with_data_and_data_with_status()
    {
        using BlkRig rig = new();
        byte[] content = new byte[1024];
        new Random(1).NextBytes(content);
        Gpa all = rig.Memory.Place([.. rig.Blk.Header(BlkDriver.Out, 9), .. content]);
        Gpa status = rig.Blk.NewStatus();
        ushort id = rig.Driver.Queue.Add(DriverBuffer.Readable(all, 16 + 1024), DriverBuffer.Writable(status, 1));
        Assert.Equal((BlkDriver.Ok, 1u), rig.Blk.Finish(id, status));
        Assert.Equal(content, rig.Disk.Bytes[4608..5632]);

        DriverBuffer both = rig.Writable(1025);
        id = rig.Driver.Queue.Add(rig.Header(BlkDriver.In, 9), both);
        Assert.Equal((BlkDriver.Ok, 1025u), rig.Blk.Finish(id, both.Address + 1024));
        Assert.Equal(content, rig.Bytes(both.Address, 1024));
    }

    [Fact(DisplayName = "2.7.4.1: empty buffers anywhere, in memory or not, mean nothing")]
    public void Empty_buffers()
    {
        using BlkRig rig = new();
        DriverBuffer data = rig.Writable(512), nowhere = DriverBuffer.Readable(new Gpa(ulong.MaxValue), 0);
        DriverBuffer nowhereToWrite = nowhere with { DeviceWritable = true };
        Gpa status = rig.Blk.NewStatus();
        DriverBuffer header = rig.Header(BlkDriver.In, 1), tail = DriverBuffer.Writable(status, 1);
        ushort id = rig.Driver.Queue.Add(nowhere, header, nowhere, nowhereToWrite, data, tail, nowhereToWrite);
        Assert.Equal((BlkDriver.Ok, 513u), rig.Blk.Finish(id, status));
        Assert.Equal(rig.Disk.Bytes[512..1024], rig.Bytes(data.Address, 512));
    }

    [Fact(DisplayName = "5.2.4: a request of seg_max buffers, direct and indirect")]
    public void As_many_buffers_as_allowed()
    {
        using BlkRig rig = new(start: false);
        rig.Driver.Start(256);
        DriverBuffer[] data = [.. Enumerable.Range(0, 254).Select(_ => rig.Writable(512))];
        for (int direct = 0; direct < 2; direct++)
        {
            Gpa status = rig.Blk.NewStatus();
            DriverBuffer[] chain = [rig.Header(BlkDriver.In), .. data, DriverBuffer.Writable(status, 1)];
            ushort id = direct == 1 ? rig.Driver.Queue.Add(chain) : rig.Driver.Queue.AddIndirect(0, chain);
            Assert.Equal((BlkDriver.Ok, (254u * 512) + 1), rig.Blk.Finish(id, status));
            byte[] read = [.. data.SelectMany(b => rig.Bytes(b.Address, 512))];
            Assert.Equal(rig.Disk.Bytes[..(254 * 512)], read);
        }
    }

    [Theory(DisplayName = "A header too short: IOERR")]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(15)]
    public void Short_header(int length)
    {
        using BlkRig rig = new();
        Gpa status = rig.Blk.NewStatus();
        DriverBuffer tail = DriverBuffer.Writable(status, 1);
        ushort id = length == 0 ? rig.Driver.Queue.Add(tail) : rig.Driver.Queue.Add(rig.Readable(length), tail);
        Assert.Equal((BlkDriver.IoError, 1u), rig.Blk.Finish(id, status));
    }

    [Theory(DisplayName = "Header or data that is not memory: IOERR")]
    [InlineData(4UL << 20)]
    [InlineData((4UL << 20) - 8)]
    [InlineData(ulong.MaxValue - 7)]
    [InlineData(0xC000_0000)]
    public void Buffers_outside_memory(ulong address)
    {
        using BlkRig rig = new();
        DriverBuffer outside = DriverBuffer.Readable(new Gpa(address), 512);
        DriverBuffer outsideToWrite = outside with { DeviceWritable = true };
        foreach (DriverBuffer[] buffers in (DriverBuffer[][])
            [
                [outside with { Length = 16 }],
                [rig.Header(BlkDriver.Out), outside],
                [rig.Header(BlkDriver.Discard), outside with { Length = 16 }],
                [rig.Header(BlkDriver.In), outsideToWrite],
                [rig.Header(BlkDriver.In), rig.Writable(512), outsideToWrite, rig.Writable(512)],
            ])
        {
            Gpa status = rig.Blk.NewStatus();
            ushort id = rig.Driver.Queue.Add([.. buffers, DriverBuffer.Writable(status, 1)]);
            Assert.Equal(BlkDriver.IoError, rig.Blk.Finish(id, status).Status);
        }

        Assert.Equal((0, 0), (rig.Disk.Reads, rig.Disk.Writes));
    }

    [Theory(DisplayName = "2.1.2: what cannot be answered with a status sets DEVICE_NEEDS_RESET; a reset helps")]
    [InlineData("no status byte")]
    [InlineData("status outside memory")]
    [InlineData("loop")]
    [InlineData("head out of range")]
    [InlineData("nested indirect")]
    [InlineData("too long")]
    [InlineData("order")]
    [InlineData("index")]
    public void Unanswerable_chains(string how)
    {
        using BlkRig rig = new();
        DriverQueue queue = rig.Driver.Queue;
        DriverBuffer header = rig.Header(BlkDriver.In), data = rig.Writable(512);
        switch (how)
        {
            case "no status byte":
                queue.Add(header);
                break;
            case "status outside memory":
                queue.Add(header, DriverBuffer.Writable(new Gpa(ulong.MaxValue), 2));
                break;
            case "loop":
                queue.WriteDescriptor(0, header, DriverQueue.Next, 0);
                queue.Offer(0);
                break;
            case "head out of range":
                queue.Offer(64);
                break;
            case "nested indirect":
                queue.WriteDescriptor(0, header, DriverQueue.Indirect, 0);
                queue.WriteDescriptor(header.Address, 0, data, DriverQueue.Indirect, 0);
                queue.Offer(0);
                break;
            case "too long":
                queue.Add(header, DriverBuffer.Writable(default, uint.MaxValue), data);
                break;
            case "order":
                queue.Add(data, header);
                break;
            case "index":
                queue.PublishIndex(1000);
                break;
        }

        queue.Publish();
        rig.Driver.Notify();
        rig.WaitNeedsReset();
        Assert.Equal(0, queue.UsedIndex);
        Assert.Equal(0, rig.Device.Counters.Requests);
        rig.Driver.Notify(); // nobody there

        rig.Driver.Start();
        Assert.Equal(BlkDriver.Ok, rig.Blk.Read(0, new byte[512]));
    }

    [Fact(DisplayName = "Random requests, framed at random: status, data and used length as the specification says")]
    public void Random_requests()
    {
        Random random = new(526);
        using BlkRig rig = new();
        byte[] model = [.. rig.Disk.Bytes];
        int[] outcomes = new int[3];
        ulong mark = rig.Memory.Mark();
        for (int i = 0; i < 4000; i++)
        {
            rig.Memory.Release(mark);
            BlkCase request = BlkCase.Random(random, rig.Blk, model);
            byte status = request.Run(rig, random);
            Assert.Equal(request.Expected, status);
            outcomes[status]++;
        }

        Assert.Equal(model, rig.Disk.Bytes);
        Assert.All(outcomes, count => Assert.InRange(count, 300, 3000));
        Assert.Equal(VirtioStatus.None, rig.Driver.Status & VirtioStatus.NeedsReset);
    }

    [Fact(DisplayName = "2.7.5.1: random descriptors: a status or DEVICE_NEEDS_RESET, nothing written but what was offered")]
    public void Random_descriptors()
    {
        Random random = new(1275);
        using BlkRig rig = new();
        int answered = 0, broken = 0;
        ulong mark = rig.Memory.Mark();
        for (int round = 0; round < 1500; round++)
        {
            rig.Memory.Release(mark);
            DriverQueue queue = rig.Driver.Start(8, unwanted: random.Next(2) == 0 ? VirtioFeatures.EventIdx : 0);
            Gpa writable = rig.Memory.Allocate(4096), readable = rig.Memory.Place(new byte[4096]);
            uint[] types = [0, 1, 4, 8, 11, 13, 99];
            for (int at = 0; at < 4096; at += 16)
            {
                rig.Memory.Memory.TryStore(readable + (ulong)at, types[random.Next(types.Length)]);
                rig.Memory.Memory.TryStore(readable + (ulong)at + 8, (ulong)random.Next(2100));
            }

            for (ushort i = 0; i < 8; i++)
            {
                bool write = random.Next(2) == 0;
                ulong address = (write ? writable : readable).Value + (ulong)(16 * random.Next(64));
                if (random.Next(20) == 0) address = (ulong)random.NextInt64();
                uint length = (uint)(random.Next(3) == 0 ? 512 * random.Next(5) : random.Next(40));
                ushort flags = (ushort)(random.Next(3) != 0 ? DriverQueue.Next : 0);
                if (random.Next(40) == 0) flags |= DriverQueue.Indirect;
                DriverBuffer buffer = new(new Gpa(address), length, write);
                queue.WriteDescriptor(i, buffer, flags, (ushort)random.Next(8));
            }

            byte[] untouchable = rig.Bytes(readable, 4096), rings = Rings();
            for (int i = 0; i < 8; i++) queue.Offer((ushort)random.Next(8));
            byte[] available = rig.Bytes(queue.Available + 4, 16);
            queue.Publish();
            rig.Driver.Notify();
            while (true)
            {
                long edges = rig.Line.Edges;
                if (queue.UsedIndex == 8 || rig.Driver.Status.HasFlag(VirtioStatus.NeedsReset)) break;
                if (queue.EventIdx && (queue.TryTake(out _) || queue.Listen())) continue;
                rig.Line.Wait(edges);
            }

            if (rig.Driver.Status.HasFlag(VirtioStatus.NeedsReset)) broken++;
            answered += queue.UsedIndex;
            Assert.Equal(untouchable, rig.Bytes(readable, 4096));
            Assert.Equal(rings, Rings());
            Assert.Equal(available, rig.Bytes(queue.Available + 4, 16));

            byte[] Rings() => rig.Bytes(queue.Descriptors, 128);
        }

        Assert.InRange(broken, 500, 1499);
        Assert.InRange(answered, 500, 12_000);
    }
}
