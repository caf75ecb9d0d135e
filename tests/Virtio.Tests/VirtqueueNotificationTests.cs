using TestKit.Virtio;
using Xunit;

namespace Virtio.Tests;

/// <summary>When either side is told, and when it is not (virtio 1.2 §2.7.7, §2.7.10).</summary>
public sealed class VirtqueueNotificationTests
{
    private const ulong EventIdx = VirtioFeatures.EventIdx;

    private static void ServeOne(QueueRig rig, DriverBuffer buffer)
    {
        rig.Driver.Add(buffer);
        rig.Driver.Publish();
        Assert.Equal(VirtqueuePop.Chain, rig.Pop());
        rig.Device.Push(rig.Chain.Head, 0);
    }

    [Fact(DisplayName = "2.7.7.2 without EVENT_IDX: flags 0 MUST notify, 1 SHOULD NOT, used_event MUST be ignored")]
    public void Flags_decide_without_event_idx()
    {
        using QueueRig rig = new();
        DriverBuffer buffer = rig.Readable();
        rig.Driver.UsedEvent = 100;
        ServeOne(rig, buffer);
        Assert.True(rig.Device.MustNotify());
        rig.Driver.SuppressInterrupts = true;
        rig.Driver.UsedEvent = 1;
        ServeOne(rig, buffer);
        Assert.False(rig.Device.MustNotify());
        rig.Driver.SuppressInterrupts = false;
        Assert.False(rig.Device.MustNotify()); // nothing new since
        ServeOne(rig, buffer);
        Assert.True(rig.Device.MustNotify());
    }

    [Fact(DisplayName = "2.7.7.2 with EVENT_IDX: the entry at used_event MUST notify, no other; flags MUST be ignored")]
    public void Used_event_decides_with_event_idx()
    {
        using QueueRig rig = new(features: EventIdx);
        DriverBuffer buffer = rig.Readable();
        rig.Driver.SuppressInterrupts = true;
        rig.Driver.UsedEvent = 0; // the specification's own example: after the first buffer
        ServeOne(rig, buffer);
        Assert.True(rig.Device.MustNotify());
        rig.Driver.UsedEvent = 3;
        rig.Driver.SuppressInterrupts = false;
        bool[] notified = new bool[4];
        for (int i = 0; i < 4; i++)
        {
            ServeOne(rig, buffer);
            notified[i] = rig.Device.MustNotify();
        }

        Assert.Equal([false, false, true, false], notified);
    }

    [Fact(DisplayName = "2.7.7.2: several entries at once notify when used_event is any of them")]
    public void Batches_notify_once()
    {
        using QueueRig rig = new(features: EventIdx);
        DriverBuffer buffer = rig.Readable();
        rig.Driver.UsedEvent = 2;
        for (int i = 0; i < 4; i++) ServeOne(rig, buffer);
        Assert.True(rig.Device.MustNotify());
        Assert.False(rig.Device.MustNotify());
        rig.Driver.UsedEvent = 2;
        for (int i = 0; i < 4; i++) ServeOne(rig, buffer);
        Assert.False(rig.Device.MustNotify());
    }

    [Fact(DisplayName = "2.7.10.2 without EVENT_IDX: flags MUST be 0 or 1, and 0 before waiting")]
    public void Mute_and_listen_without_event_idx()
    {
        using QueueRig rig = new();
        DriverBuffer buffer = rig.Readable();
        rig.Device.Mute();
        Assert.Equal(1, rig.Driver.UsedFlags);
        rig.Driver.Add(buffer);
        Assert.False(rig.Driver.Publish());
        Assert.True(rig.Device.Listen());
        Assert.Equal(0, rig.Driver.UsedFlags);
        rig.Pop();
        Assert.False(rig.Device.Listen());
        rig.Driver.Add(buffer);
        Assert.True(rig.Driver.Publish());
    }

    [Fact(DisplayName = "2.7.10.2 with EVENT_IDX: flags MUST be 0, avail_event says when")]
    public void Mute_and_listen_with_event_idx()
    {
        using QueueRig rig = new(features: EventIdx);
        DriverBuffer buffer = rig.Readable();
        Assert.False(rig.Device.Listen());
        Assert.Equal(0, rig.Driver.AvailEvent);
        rig.Driver.Add(buffer);
        Assert.True(rig.Driver.Publish());
        rig.Device.Mute();
        rig.Driver.Add(buffer);
        Assert.False(rig.Driver.Publish()); // past avail_event, and the device has not asked again
        Assert.Equal(0, rig.Driver.UsedFlags);
        rig.Pop();
        Assert.True(rig.Device.Listen());
        rig.Pop();
        Assert.False(rig.Device.Listen());
        Assert.Equal(2, rig.Driver.AvailEvent);
        rig.Driver.Add(buffer);
        Assert.True(rig.Driver.Publish());
    }

    [Theory(DisplayName = "2.7.7.2: both ways of telling survive the wrap of the indices at 65536")]
    [InlineData(0UL)]
    [InlineData(EventIdx)]
    public void Indices_wrap(ulong features)
    {
        using QueueRig rig = new(size: 8, features);
        DriverBuffer buffer = rig.Readable();
        Random random = new(65536);
        long done = 0, told = 0, woken = 0;
        while (done < 140_000)
        {
            int batch = random.Next(1, 9);
            bool listening = !rig.Device.Listen();
            for (int i = 0; i < batch; i++) rig.Driver.Add(buffer);
            // What the driver computes from avail_event: asked for at the next index, it must always be told.
            Assert.Equal(listening, rig.Driver.Publish());
            woken++;
            rig.Device.Mute();

            int wanted = random.Next(-3, 12); // relative to what is used now
            ushort used = rig.Device.State.NextUsed;
            rig.Driver.UsedEvent = (ushort)(used + wanted);
            rig.Driver.SuppressInterrupts = wanted < 0;
            for (int i = 0; i < batch; i++)
            {
                Assert.Equal(VirtqueuePop.Chain, rig.Pop());
                rig.Device.Push(rig.Chain.Head, (uint)done);
            }

            bool expected = features == 0 ? wanted >= 0 : wanted >= 0 && wanted < batch;
            Assert.Equal(expected, rig.Device.MustNotify());
            if (expected) told++;
            for (int i = 0; i < batch; i++, done++) Assert.True(rig.Driver.TryTake(out _));
            Assert.Equal((ushort)done, rig.Driver.UsedIndex);
        }

        Assert.True(told > 1000 && woken > told);
    }

    [Theory(DisplayName = "2.7.7, 2.7.10: two threads that sleep whenever they may, and no wake-up is lost")]
    [InlineData(0UL)]
    [InlineData(EventIdx)]
    public void No_wakeup_is_lost(ulong features)
    {
        const int Total = 20_000;
        using QueueRig rig = new(size: 4, features);
        DriverBuffer buffer = rig.Readable();
        TestLine kick = new(), interrupt = new();
        Exception? failure = null;
        Thread device = new(() =>
        {
            try
            {
                for (int served = 0; served < Total;)
                {
                    long kicks = kick.Edges;
                    rig.Device.Mute();
                    while (rig.Pop() == VirtqueuePop.Chain)
                    {
                        rig.Device.Push(rig.Chain.Head, 0);
                        served++;
                        if (rig.Device.MustNotify()) interrupt.Raise();
                    }

                    if (served < Total && !rig.Device.Listen()) kick.Wait(kicks);
                }
            }
            catch (Exception e)
            {
                failure = e;
            }
        });
        device.Start();
        int taken = 0;
        for (int added = 0; taken < Total;)
        {
            long interrupts = interrupt.Edges;
            while (added < Total && rig.Driver.FreeDescriptors > 0)
            {
                rig.Driver.Add(buffer);
                added++;
                if (rig.Driver.Publish()) kick.Raise();
            }

            while (rig.Driver.TryTake(out _)) taken++;
            if (taken < Total && !rig.Driver.Listen() && (added == Total || rig.Driver.FreeDescriptors == 0))
                interrupt.Wait(interrupts);
        }

        device.Join();
        Assert.Null(failure);
        Assert.Equal(VirtqueueFault.None, rig.Device.Fault);
    }
}
