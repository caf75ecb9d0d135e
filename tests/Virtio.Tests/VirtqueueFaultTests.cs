using CowMemory;
using TestKit.Virtio;
using Xunit;

namespace Virtio.Tests;

/// <summary>Every rule of split queues that a driver can break, broken. Sections are those of virtio 1.2.</summary>
public sealed class VirtqueueFaultTests
{
    private const ulong Indirect = VirtioFeatures.IndirectDescriptors;
    private const ushort Next = DriverQueue.Next;

    private static void Breaks(VirtqueueFault expected, Action<QueueRig> mischief, ulong features = Indirect)
    {
        using QueueRig rig = new(size: 8, features);
        // A good one before, so that the broken one is not the first.
        rig.Driver.Add(rig.Readable());
        rig.Driver.Publish();
        Assert.Equal(VirtqueuePop.Chain, rig.Pop());

        mischief(rig);
        Assert.Equal(VirtqueuePop.Broken, rig.Pop());
        Assert.Equal(expected, rig.Device.Fault);
        Assert.Equal(VirtqueuePop.Broken, rig.Pop());
        Assert.Equal((1, 0), (rig.Device.State.NextAvail, rig.Device.State.NextUsed));
        Assert.Equal(0, rig.Driver.UsedIndex);
    }

    private static void Offer(QueueRig rig, ushort head)
    {
        rig.Driver.Offer(head);
        rig.Driver.Publish();
    }

    [Theory(DisplayName = "2.7.6: the available index MUST NOT go back, nor run ahead by more than the queue's size")]
    [InlineData(0)]
    [InlineData(10)]
    [InlineData(0x8000)]
    public void Available_index_jumps(int index) =>
        Breaks(VirtqueueFault.AvailableIndex, rig => rig.Driver.PublishIndex((ushort)index));

    [Fact(DisplayName = "2.7.6: no more chains than the queue has room for beside those not used yet")]
    public void Available_index_beyond_what_is_free()
    {
        using QueueRig rig = new(size: 8);
        for (int round = 0; round < 8; round++)
        {
            rig.Driver.Offer(0);
            rig.Driver.Publish();
            Assert.Equal(VirtqueuePop.Chain, rig.Pop());
        }

        rig.Driver.Offer(0); // a ninth, and nothing has come back
        rig.Driver.Publish();
        Assert.Equal(VirtqueuePop.Broken, rig.Pop());
        Assert.Equal(VirtqueueFault.AvailableIndex, rig.Device.Fault);
    }

    [Theory(DisplayName = "2.7.5: a head beyond the table")]
    [InlineData(8)]
    [InlineData(0xFFFF)]
    public void Head_out_of_range(int head) => Breaks(VirtqueueFault.DescriptorIndex, rig => Offer(rig, (ushort)head));

    [Fact(DisplayName = "2.7.5: a successor beyond the table")]
    public void Next_out_of_range() => Breaks(VirtqueueFault.DescriptorIndex, rig =>
    {
        rig.Driver.WriteDescriptor(3, rig.Readable(), Next, 8);
        Offer(rig, 3);
    });

    [Theory(DisplayName = "2.7.5.2: loops are forbidden")]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(8)]
    public void Loop(int length) => Breaks(VirtqueueFault.ChainTooLong, rig =>
    {
        for (ushort i = 0; i < length; i++)
            rig.Driver.WriteDescriptor(i, rig.Readable(), Next, (ushort)((i + 1) % length));
        Offer(rig, 0);
    });

    [Fact(DisplayName = "2.7.5.2: a loop of empty buffers is a loop")]
    public void Loop_of_nothing() => Breaks(VirtqueueFault.ChainTooLong, rig =>
    {
        rig.Driver.WriteDescriptor(0, QueueRig.At(0, 0), Next, 0);
        Offer(rig, 0);
    });

    [Fact(DisplayName = "2.7.5.3: a loop in an indirect table")]
    public void Loop_in_an_indirect_table() => Breaks(VirtqueueFault.ChainTooLong, rig =>
    {
        Gpa table = rig.Memory.Allocate(32);
        rig.Driver.WriteDescriptor(table, 0, rig.Readable(), Next, 1);
        rig.Driver.WriteDescriptor(table, 1, rig.Readable(), Next, 0);
        rig.Driver.WriteDescriptor(0, DriverBuffer.Readable(table, 32), DriverQueue.Indirect, 0);
        Offer(rig, 0);
    });

    [Fact(DisplayName = "2.7.5.3.1: no chain longer than the queue, with an indirect table neither")]
    public void Indirect_chain_too_long() => Breaks(VirtqueueFault.ChainTooLong, rig =>
    {
        rig.Driver.AddIndirect(1, [.. Enumerable.Range(0, 9).Select(_ => rig.Readable())]);
        rig.Driver.Publish();
    });

    [Fact(DisplayName = "2.7.5.2: no chain of 2^32 bytes")]
    public void Too_many_bytes() => Breaks(VirtqueueFault.TooManyBytes, rig =>
    {
        rig.Driver.Add(QueueRig.At(0, uint.MaxValue), QueueRig.At(0, 1, writable: true));
        rig.Driver.Publish();
    });

    [Fact(DisplayName = "2.7.4.2: writable buffers MUST come after readable ones")]
    public void Readable_after_writable() => Breaks(VirtqueueFault.Order, rig =>
    {
        rig.Driver.Add(rig.Readable(), rig.Writable(), rig.Readable());
        rig.Driver.Publish();
    });

    [Fact(DisplayName = "2.7.5.3.1: INDIRECT only where negotiated")]
    public void Indirect_not_negotiated() => Breaks(
        VirtqueueFault.IndirectNotNegotiated,
        rig =>
        {
            rig.Driver.AddIndirect(0, rig.Readable());
            rig.Driver.Publish();
        },
        features: 0);

    [Fact(DisplayName = "2.7.5.3.1: no INDIRECT within an indirect table")]
    public void Nested_indirect() => Breaks(VirtqueueFault.IndirectNested, rig =>
    {
        Gpa table = rig.Memory.Allocate(16);
        rig.Driver.WriteDescriptor(table, 0, DriverBuffer.Readable(table, 16), DriverQueue.Indirect, 0);
        rig.Driver.WriteDescriptor(0, DriverBuffer.Readable(table, 16), DriverQueue.Indirect, 0);
        Offer(rig, 0);
    });

    [Fact(DisplayName = "2.7.5.3.1: never INDIRECT together with NEXT")]
    public void Indirect_with_next() => Breaks(VirtqueueFault.IndirectNested, rig =>
    {
        Gpa table = rig.Memory.Allocate(16);
        rig.Driver.WriteDescriptor(table, 0, rig.Readable(), 0, 0);
        rig.Driver.WriteDescriptor(0, DriverBuffer.Readable(table, 16), DriverQueue.Indirect | Next, 1);
        Offer(rig, 0);
    });

    [Theory(DisplayName = "2.7.5.3: an indirect table is a whole number of descriptors in memory")]
    [InlineData(0x1000, 0)]
    [InlineData(0x1000, 15)]
    [InlineData(0x1000, 40)]
    [InlineData(256 << 10, 16)]
    [InlineData((256 << 10) - 16, 32)]
    [InlineData(-16, 32)]
    [InlineData(0x1000, 0xFFFF_FFF0)]
    public void Bad_indirect_table(long address, uint length) => Breaks(VirtqueueFault.IndirectTable, rig =>
    {
        rig.Driver.WriteDescriptor(0, QueueRig.At((ulong)address, length), DriverQueue.Indirect, 0);
        Offer(rig, 0);
    });

    [Fact(DisplayName = "2.7.5.3: a successor beyond the indirect table")]
    public void Next_beyond_the_indirect_table() => Breaks(VirtqueueFault.DescriptorIndex, rig =>
    {
        Gpa table = rig.Memory.Allocate(64);
        rig.Driver.WriteDescriptor(table, 0, rig.Readable(), Next, 2);
        rig.Driver.WriteDescriptor(0, DriverBuffer.Readable(table, 32), DriverQueue.Indirect, 0);
        Offer(rig, 0);
    });

    [Fact(DisplayName = "Random rings: never an exception, and every chain taken obeys the rules")]
    public void Random_rings()
    {
        Random random = new(20240917);
        int chains = 0, faults = 0;
        for (int round = 0; round < 3000; round++)
        {
            using QueueRig rig = new(size: 8, features: random.Next(4) == 0 ? 0 : Indirect);
            Gpa arena = rig.Memory.Allocate(512);
            for (int i = 0; i < 32; i++) WriteRandom(rig, arena, (ushort)i, random, 8);
            for (ushort i = 0; i < 8; i++) WriteRandom(rig, rig.Driver.Descriptors, i, random, 4, arena.Value);
            for (int i = 0; i < 8; i++) rig.Driver.Offer((ushort)random.Next(random.Next(20) == 0 ? 65536 : 8));
            rig.Driver.Publish();
            VirtqueuePop popped;
            while ((popped = rig.Pop()) == VirtqueuePop.Chain)
            {
                chains++;
                Assert.True(rig.Chain.Head < 8);
                Assert.InRange(rig.Chain.Readable.Length + rig.Chain.Writable.Length, 1, 8);
                Assert.Equal(rig.Chain.ReadableBytes, rig.Chain.Readable.ToArray().Sum(b => b.Length));
                Assert.Equal(rig.Chain.WritableBytes, rig.Chain.Writable.ToArray().Sum(b => b.Length));
                rig.Device.Push(rig.Chain.Head, 0);
            }

            if (popped == VirtqueuePop.Broken) faults++;
            Assert.Equal(popped == VirtqueuePop.Broken, rig.Device.Fault != VirtqueueFault.None);
        }

        // Or else the generator tests nothing.
        Assert.InRange(chains, 1000, 20000);
        Assert.InRange(faults, 1000, 2999);
    }

    private static void WriteRandom(QueueRig rig, Gpa table, ushort index, Random random, int range, ulong arena = 0)
    {
        ushort flags = (ushort)(random.Next(3) == 0 ? Next : 0);
        if (random.Next(6) == 0) flags |= DriverQueue.Indirect;
        if (random.Next(30) == 0) flags = (ushort)random.Next(65536);
        ulong address = random.Next(4) == 0 ? (ulong)random.NextInt64() : arena;
        uint length = (uint)(random.Next(10) == 0 ? random.NextInt64(1L << 32) : 16 * random.Next(20));
        DriverBuffer buffer = QueueRig.At(address, length, writable: random.Next(2) == 0);
        rig.Driver.WriteDescriptor(table, index, buffer, flags, (ushort)random.Next(range));
    }
}
