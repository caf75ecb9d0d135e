using CowMemory;
using TestKit.Virtio;
using Xunit;

namespace Virtio.Tests;

/// <summary>Split queues as the device must handle them; sections are those of virtio 1.2.</summary>
public sealed class VirtqueueTests
{
    private const ulong Indirect = VirtioFeatures.IndirectDescriptors;

    [Fact(DisplayName = "2.7.13: chains come in the order of the available ring, buffers in the order of the chain")]
    public void Chains_come_in_order()
    {
        using QueueRig rig = new();
        DriverBuffer a = rig.Readable(7), b = rig.Readable(9), c = rig.Writable(100), d = rig.Writable(1);
        ushort first = rig.Driver.Add(a, b, c, d);
        ushort second = rig.Driver.Add(d);
        rig.Driver.Publish();

        Assert.Equal(VirtqueuePop.Chain, rig.Pop());
        Assert.Equal(first, rig.Chain.Head);
        Assert.Equal([new(a.Address, 7), new(b.Address, 9)], rig.Chain.Readable.ToArray());
        Assert.Equal([new(c.Address, 100), new(d.Address, 1)], rig.Chain.Writable.ToArray());
        Assert.Equal((16u, 101u), (rig.Chain.ReadableBytes, rig.Chain.WritableBytes));
        Assert.Equal(VirtqueuePop.Chain, rig.Pop());
        Assert.Equal(second, rig.Chain.Head);
        Assert.Equal((0, 1), (rig.Chain.Readable.Length, rig.Chain.Writable.Length));
        Assert.Equal(VirtqueuePop.Empty, rig.Pop());
    }

    [Fact(DisplayName = "2.7.13: nothing is taken before the available index shows it")]
    public void Nothing_is_taken_before_it_is_published()
    {
        using QueueRig rig = new();
        rig.Driver.Add(rig.Readable());
        Assert.Equal(VirtqueuePop.Empty, rig.Pop());
        rig.Driver.Publish();
        Assert.Equal(VirtqueuePop.Chain, rig.Pop());
    }

    [Fact(DisplayName = "2.7.8.2: the used element holds head and length, and the index follows it")]
    public void Used_elements_hold_head_and_length()
    {
        using QueueRig rig = new();
        ushort[] heads = [rig.Driver.Add(rig.Readable(), rig.Writable()), rig.Driver.Add(rig.Writable())];
        rig.Driver.Publish();
        Assert.Equal(VirtqueuePop.Chain, rig.Pop());
        Assert.Equal(0, rig.Driver.UsedIndex);
        Assert.Equal(VirtqueuePop.Chain, rig.Pop());
        // Out of order, as a device may.
        rig.Device.Push(heads[1], 0xFFFF_FFFF);
        rig.Device.Push(heads[0], 17);
        Assert.True(rig.Driver.TryTake(out UsedElement one));
        Assert.True(rig.Driver.TryTake(out UsedElement two));
        Assert.Equal((new UsedElement(heads[1], uint.MaxValue), new UsedElement(heads[0], 17)), (one, two));
        Assert.False(rig.Driver.TryTake(out _));
    }

    [Fact(DisplayName = "2.7.5.1, 2.7.6: the device writes neither descriptors nor the available ring")]
    public void Only_the_used_ring_is_written()
    {
        using QueueRig rig = new(features: VirtioFeatures.EventIdx | Indirect);
        rig.Driver.AddIndirect(1, rig.Readable(), rig.Readable(), rig.Writable());
        rig.Driver.Publish();
        int length = (int)(rig.Driver.Used.Value - rig.Driver.Descriptors.Value);
        byte[] before = rig.Memory.Memory.Read(rig.Driver.Descriptors, length).ToArray();
        rig.Device.Mute();
        Assert.Equal(VirtqueuePop.Chain, rig.Pop());
        rig.Device.Push(rig.Chain.Head, 0);
        rig.Device.MustNotify();
        rig.Device.Listen();
        Assert.Equal(before, rig.Memory.Memory.Read(rig.Driver.Descriptors, length).ToArray());
    }

    [Theory(DisplayName = "2.7.5.3.2: an indirect table MUST work alone and after direct descriptors")]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(3)]
    public void Indirect_tables_are_followed(int direct)
    {
        using QueueRig rig = new(features: Indirect);
        DriverBuffer[] buffers = [rig.Readable(1), rig.Readable(2), rig.Readable(3), rig.Writable(4), rig.Writable(5)];
        ushort head = rig.Driver.AddIndirect(direct, buffers);
        rig.Driver.Publish();
        Assert.Equal(VirtqueuePop.Chain, rig.Pop());
        Assert.Equal(head, rig.Chain.Head);
        ChainBuffer[] taken = [.. rig.Chain.Readable, .. rig.Chain.Writable];
        Assert.Equal([.. buffers.Select(b => new ChainBuffer(b.Address, b.Length))], taken);
        Assert.Equal(3, rig.Chain.Readable.Length);
    }

    [Fact(DisplayName = "2.7.5.3.2: the write-only flag of an indirect descriptor MUST be ignored")]
    public void Write_flag_of_an_indirect_descriptor_is_ignored()
    {
        using QueueRig rig = new(features: Indirect);
        DriverBuffer inner = rig.Readable();
        Gpa table = rig.Memory.Allocate(16);
        rig.Driver.WriteDescriptor(table, 0, inner, 0, 0);
        rig.Driver.WriteDescriptor(0, DriverBuffer.Writable(table, 16), DriverQueue.Indirect, 0);
        rig.Driver.Offer(0);
        rig.Driver.Publish();
        Assert.Equal(VirtqueuePop.Chain, rig.Pop());
        Assert.Equal((1, 0), (rig.Chain.Readable.Length, rig.Chain.Writable.Length));
    }

    [Fact(DisplayName = "2.7.5: a chain may be as long as the queue, and 2^32 - 1 bytes")]
    public void Limits_themselves_are_allowed()
    {
        using QueueRig rig = new(size: 4);
        rig.Driver.Add(rig.Readable(), rig.Readable(), rig.Readable(), rig.Writable());
        rig.Driver.Publish();
        Assert.Equal(VirtqueuePop.Chain, rig.Pop());
        rig.Driver.WriteDescriptor(0, QueueRig.At(0, uint.MaxValue), 0, 0);
        rig.Driver.Offer(0);
        rig.Driver.Publish();
        Assert.Equal(VirtqueuePop.Chain, rig.Pop());
        Assert.Equal(uint.MaxValue, rig.Chain.ReadableBytes);
    }

    [Fact(DisplayName = "2.7.13.3: a queue as large as they come, full to the last entry")]
    public void Largest_queue_full()
    {
        using QueueRig rig = new(size: 32768 / 4); // rings of 32768 need more memory than a test ought to
        DriverBuffer buffer = rig.Readable();
        for (int i = 0; i < rig.Driver.Size; i++) rig.Driver.Add(buffer);
        rig.Driver.Publish();
        for (int i = 0; i < rig.Driver.Size; i++) Assert.Equal(VirtqueuePop.Chain, rig.Pop());
        Assert.Equal(VirtqueuePop.Empty, rig.Pop());
    }

    [Theory(DisplayName = "2.7: size a power of two, parts aligned and in memory")]
    [InlineData(0, 0, 0, 0)]
    [InlineData(3, 0, 0, 0)]
    [InlineData(40000, 0, 0, 0)]
    [InlineData(8, 8, 0, 0)]
    [InlineData(8, 0, 1, 0)]
    [InlineData(8, 0, 0, 2)]
    [InlineData(8, 1 << 20, 0, 0)]
    [InlineData(8, 0, 1 << 20, 0)]
    [InlineData(8, 0, 0, 1 << 20)]
    [InlineData(8, 0, 0, -1L << 32)]
    [InlineData(32768, 0, 0, 0)] // the table would end beyond the memory
    public void Unusable_queues_are_refused(int size, long descriptors, long available, long used)
    {
        using QueueRig rig = new();
        VirtqueueState state = rig.State with
        {
            Size = (ushort)size,
            DescriptorArea = rig.State.DescriptorArea + (ulong)descriptors,
            DriverArea = rig.State.DriverArea + (ulong)available,
            DeviceArea = rig.State.DeviceArea + (ulong)used,
        };
        Assert.False(Virtqueue.TryCreate(rig.Memory.Memory, state, 0, out _));
    }

    [Fact(DisplayName = "A queue goes on from its saved state")]
    public void State_is_all_there_is()
    {
        using QueueRig rig = new(features: VirtioFeatures.EventIdx, startAt: 65533);
        Virtqueue device = rig.Device;
        DriverBuffer buffer = rig.Readable();
        for (int i = 0; i < 40; i++)
        {
            ushort head = rig.Driver.Add(buffer);
            rig.Driver.Publish();
            Assert.Equal(VirtqueuePop.Chain, device.Pop(rig.Chain));
            device.Push(rig.Chain.Head, (uint)i);
            device.MustNotify();
            Virtqueue.TryCreate(rig.Memory.Memory, device.State, VirtioFeatures.EventIdx, out Virtqueue? next);
            device = next!;
            Assert.True(rig.Driver.TryTake(out UsedElement element));
            Assert.Equal(new UsedElement(head, (uint)i), element);
        }
    }

    [Theory(DisplayName = "Chains given back come again, before the ring, here or where the state is loaded")]
    [InlineData(false)]
    [InlineData(true)]
    public void Given_back(bool moved)
    {
        using QueueRig rig = new(startAt: 65534);
        Virtqueue device = rig.Device;
        ushort[] heads = [rig.Driver.Add(rig.Readable()), rig.Driver.Add(rig.Readable()), rig.Driver.Add(rig.Readable())];
        rig.Driver.Publish();
        for (int i = 0; i < 3; i++) Assert.Equal(VirtqueuePop.Chain, device.Pop(rig.Chain));
        device.Push(heads[1], 0);
        device.Return(heads[0]);
        device.Return(heads[2]);
        Assert.True(device.Listen());
        ushort last = rig.Driver.Add(rig.Writable());
        rig.Driver.Publish();
        if (moved)
        {
            VirtqueueState state = device.State;
            Assert.Equal([heads[0], heads[2]], state.Returned);
            Assert.True(Virtqueue.TryCreate(rig.Memory.Memory, state, 0, out Virtqueue? next));
            device = next!;
        }

        List<ushort> seen = [];
        while (device.Pop(rig.Chain) == VirtqueuePop.Chain) seen.Add(rig.Chain.Head);
        Assert.Equal([.. new[] { heads[0], heads[2] }.Order(), last], [.. seen[..2].Order(), .. seen[2..]]);
        Assert.Empty(device.State.Returned);
        Assert.False(device.Listen());
    }

    [Fact(DisplayName = "What the device writes into rings is recorded for a live copy")]
    public void Ring_writes_are_recorded()
    {
        using QueueRig rig = new();
        rig.Driver.Add(rig.Readable());
        rig.Driver.Publish();
        rig.Memory.Memory.HostWrites = new DirtyPages(rig.Memory.Memory.Layout.SizeBytes);
        rig.Pop();
        Assert.Equal(0, rig.Memory.Memory.HostWrites.Count);
        rig.Device.Push(rig.Chain.Head, 0);
        ulong page = rig.Driver.Used.Value / MemoryLayout.PageSize;
        Assert.Equal(1UL << (int)page, rig.Memory.Memory.HostWrites.Words[0]);
    }

    [Fact(DisplayName = "Taking and returning chains allocates nothing")]
    public void Steady_state_allocates_nothing()
    {
        using QueueRig rig = new(size: 64, features: Indirect);
        DriverBuffer buffer = rig.Readable();
        for (int i = 0; i < 32; i++) rig.Driver.Add(buffer, buffer);
        rig.Driver.Publish();
        Serve(16);
        long before = GC.GetAllocatedBytesForCurrentThread();
        Serve(16);
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());

        void Serve(int count)
        {
            for (int i = 0; i < count; i++)
            {
                rig.Device.Mute();
                rig.Device.Pop(rig.Chain);
                rig.Device.Push(rig.Chain.Head, 0);
                rig.Device.MustNotify();
                rig.Device.Listen();
            }
        }
    }
}
