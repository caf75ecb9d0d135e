using TestKit.Virtio;
using Xunit;

namespace Virtio.Tests;

/// <summary>The registers (virtio 1.2 §4.2.2) and what they make the device do (§2.1, §2.2, §2.4, §3.1).</summary>
public sealed class MmioTransportTests
{
    private const VirtioStatus Ready =
        VirtioStatus.Acknowledge | VirtioStatus.Driver | VirtioStatus.FeaturesOk | VirtioStatus.DriverOk;

    [Theory(DisplayName = "4.2.2.1: what the registers of a device nobody has touched read as")]
    [InlineData(0x000, 0x74726976u)] // MagicValue, MUST
    [InlineData(0x004, 2u)] // Version, MUST
    [InlineData(0x008, 42u)] // DeviceID
    [InlineData(0x034, 64u)] // QueueSizeMax
    [InlineData(0x044, 0u)] // QueueReady
    [InlineData(0x060, 0u)] // InterruptStatus
    [InlineData(0x070, 0u)] // Status
    [InlineData(0x0b0, 0xFFFFFFFFu)] // SHMLen: no region
    [InlineData(0x0b4, 0xFFFFFFFFu)]
    [InlineData(0x0b8, 0xFFFFFFFFu)] // SHMBase
    [InlineData(0x0bc, 0xFFFFFFFFu)]
    [InlineData(0x0c0, 0u)] // QueueReset: not offered
    [InlineData(0x0fc, 0u)] // ConfigGeneration
    [InlineData(0x080, 0u)] // write-only
    [InlineData(0x0a8, 0u)] // nothing
    public void Registers_after_reset(ulong offset, uint value)
    {
        using TransportRig rig = new();
        Assert.Equal(value, rig.Driver.Read(offset));
    }

    [Fact(DisplayName = "4.2.2: a queue that does not exist has size 0 and takes nothing")]
    public void Missing_queue()
    {
        using TransportRig rig = new();
        foreach (uint queue in new[] { 1u, 0x8000_0000, uint.MaxValue })
        {
            rig.Driver.Write(0x030, queue);
            Assert.Equal(0u, rig.Driver.Read(0x034));
            rig.Driver.Write(0x044, 1);
            Assert.Equal(0u, rig.Driver.Read(0x044));
            rig.Driver.Write(0x080, 1);
            rig.Driver.Notify(queue);
        }

        Assert.False(rig.Device.Notifications[0].TryDrain());
    }

    [Theory(DisplayName = "4.2.2.2: control registers are 32 bits wide; other accesses do nothing and read zero")]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(8)]
    public void Other_widths(int width)
    {
        using TransportRig rig = new();
        byte[] data = [.. Enumerable.Repeat((byte)0xFF, width)];
        rig.Transport.Write(0x070, data);
        Assert.Equal(VirtioStatus.None, rig.Transport.Status);
        rig.Transport.Write(VirtioMmioTransport.QueueNotifyOffset, new byte[width]);
        Assert.False(rig.Device.Notifications[0].TryDrain());
        rig.Transport.Read(0x000, data);
        Assert.All(data, b => Assert.Equal(0, b));
    }

    [Fact(DisplayName = "4.2.2: configuration space is accessed in any width, and ends in zeros")]
    public void Configuration_space()
    {
        using TransportRig rig = new();
        Assert.Equal([2], rig.Driver.ReadConfig(1, 1));
        Assert.Equal([3, 4], rig.Driver.ReadConfig(2, 2));
        Assert.Equal([5, 6, 7, 8, 0, 0, 0, 0], rig.Driver.ReadConfig(4, 8));
        Assert.Equal([0, 0, 0, 0], rig.Driver.ReadConfig(0xFC, 4));
        rig.Transport.Write(0x103, [9]);
        Assert.Equal(9, rig.Device.Config[3]);
    }

    [Fact(DisplayName = "2.2, 6.2: own features and the transport's are offered, in words of 32")]
    public void Features_are_offered()
    {
        using TransportRig rig = new(features: 1UL << 9);
        Assert.Equal((1UL << 9) | (1UL << 28) | (1UL << 29) | (1UL << 32), rig.Driver.ReadOffered());
        rig.Driver.Write(0x014, 2);
        Assert.Equal(0u, rig.Driver.Read(0x010));
    }

    [Theory(DisplayName = "2.2.2, 6.1: FEATURES_OK only with VERSION_1 and nothing that was not offered")]
    [InlineData(1UL << 32, true)]
    [InlineData((1UL << 32) | (1UL << 9) | (1UL << 28), true)]
    [InlineData(0UL, false)]
    [InlineData(1UL << 9, false)]
    [InlineData((1UL << 32) | (1UL << 10), false)]
    [InlineData((1UL << 32) | (1UL << 40), false)]
    public void Negotiation(ulong accepted, bool agreed)
    {
        using TransportRig rig = new(features: 1UL << 9);
        rig.Driver.Status = VirtioStatus.Acknowledge;
        rig.Driver.Status |= VirtioStatus.Driver;
        rig.Driver.Accept(accepted);
        rig.Driver.Status |= VirtioStatus.FeaturesOk;
        Assert.Equal(agreed, rig.Driver.Status.HasFlag(VirtioStatus.FeaturesOk));
        rig.Driver.Status |= VirtioStatus.DriverOk;
        Assert.Equal(agreed, rig.Driver.Status.HasFlag(VirtioStatus.DriverOk));
        Assert.Equal(agreed ? accepted : null, rig.Device.Activation?.Features);
    }

    [Fact(DisplayName = "2.2: features are settled by FEATURES_OK; only a reset opens them again")]
    public void Features_are_settled()
    {
        using TransportRig rig = new(features: 1UL << 9);
        Assert.True(rig.Driver.Negotiate(unwanted: 1UL << 9));
        rig.Driver.Accept(rig.Driver.ReadOffered());
        rig.Driver.Status |= VirtioStatus.DriverOk;
        Assert.Equal(VirtioFeatures.Transport, rig.Device.Activation!.Features);
        Assert.True(rig.Driver.Negotiate());
        rig.Driver.Status |= VirtioStatus.DriverOk;
        Assert.Equal(VirtioFeatures.Transport | (1UL << 9), rig.Device.Activation!.Features);
    }

    [Fact(DisplayName = "2.1: status bits add up; the driver cannot clear one, nor set the device's own")]
    public void Status_bits()
    {
        using TransportRig rig = new();
        rig.Driver.Status = VirtioStatus.Acknowledge;
        rig.Driver.Status = VirtioStatus.Driver;
        Assert.Equal(VirtioStatus.Acknowledge | VirtioStatus.Driver, rig.Driver.Status);
        rig.Driver.Status = VirtioStatus.NeedsReset | (VirtioStatus)0x110;
        Assert.Equal(VirtioStatus.Acknowledge | VirtioStatus.Driver, rig.Driver.Status);
        rig.Driver.Status = VirtioStatus.Failed;
        Assert.True(rig.Driver.Status.HasFlag(VirtioStatus.Failed));
    }

    [Fact(DisplayName = "4.2.3.2, 3.1: DRIVER_OK starts the device with the queues the driver has set up")]
    public void Activation()
    {
        using TransportRig rig = new(queues: 2);
        Assert.True(rig.Driver.Negotiate());
        DriverQueue queue = rig.Driver.SetUpQueue(16);
        Assert.Null(rig.Device.Activation);
        rig.Driver.Status |= VirtioStatus.DriverOk;
        VirtioActivation activation = rig.Device.Activation!;
        Assert.Same(rig.Memory.Memory, activation.Memory);
        Assert.Equal(2, activation.Queues.Count);
        VirtqueueState expected = new()
        {
            Size = 16,
            Ready = true,
            DescriptorArea = queue.Descriptors.Value,
            DriverArea = queue.Available.Value,
            DeviceArea = queue.Used.Value,
        };
        Assert.Equal(expected, activation.Queues[0]!.State);
        Assert.Null(activation.Queues[1]);
        rig.Driver.Status |= VirtioStatus.DriverOk;
        Assert.Single(rig.Device.Calls, nameof(IVirtioDevice.Activate));
    }

    [Theory(DisplayName = "2.1.2: an unusable queue: DEVICE_NEEDS_RESET and a configuration interrupt (MUST)")]
    [InlineData(0u, 0UL)]
    [InlineData(3u, 0UL)]
    [InlineData(128u, 0UL)] // more than QueueSizeMax
    [InlineData(65537u, 0UL)]
    [InlineData(16u, 4UL)]
    [InlineData(16u, 1UL << 40)]
    [InlineData(16u, 0xFFFF_FFFF_FFFF_EFF0)]
    public void Unusable_queue(uint size, ulong shift)
    {
        using TransportRig rig = new();
        rig.Driver.Negotiate();
        rig.Driver.ConfigureQueue(size, 0x1000 + shift, 0x2000, 0x3000);
        Assert.Equal(0, rig.Line.Edges);
        rig.Driver.Status |= VirtioStatus.DriverOk;
        Assert.True(rig.Driver.Status.HasFlag(VirtioStatus.NeedsReset));
        Assert.Equal((2u, 1L), (rig.Driver.Read(0x060), rig.Line.Edges));
        Assert.Null(rig.Device.Activation);
    }

    [Fact(DisplayName = "4.2.2.2: a ready queue's registers are fixed")]
    public void Ready_queue_is_fixed()
    {
        using TransportRig rig = new();
        rig.Driver.Negotiate();
        rig.Driver.ConfigureQueue(16, 0x1000, 0x2000, 0x3000);
        rig.Driver.ConfigureQueue(32, 0x5000, 0x6000, 0x7000);
        VirtqueueState queue = rig.Transport.Save().Queues[0];
        Assert.Equal(16, queue.Size);
        Assert.Equal((0x1000UL, 0x2000UL, 0x3000UL), (queue.DescriptorArea, queue.DriverArea, queue.DeviceArea));
    }

    [Fact(DisplayName = "4.2.2: addresses have 64 bits, in halves that do not touch each other")]
    public void Addresses_have_two_halves()
    {
        using TransportRig rig = new();
        rig.Driver.Negotiate();
        rig.Driver.ConfigureQueue(16, 0x1111_2222_3333_4444, 0x5555_6666_7777_8888, 0x9999_AAAA_BBBB_CCCC);
        VirtqueueState queue = rig.Transport.Save().Queues[0];
        Assert.Equal(0x1111_2222_3333_4444UL, queue.DescriptorArea);
        Assert.Equal(0x5555_6666_7777_8888UL, queue.DriverArea);
        Assert.Equal(0x9999_AAAA_BBBB_CCCCUL, queue.DeviceArea);
    }

    [Fact(DisplayName = "4.2.2.1: a queue MUST NOT be touched once QueueReady is 0; the others go on")]
    public void Queue_taken_away()
    {
        using TransportRig rig = new(queues: 2);
        rig.Driver.Negotiate();
        rig.Driver.SetUpQueue(16);
        rig.Driver.Write(0x030, 1);
        rig.Driver.Write(0x038, 8);
        rig.Driver.Write(0x080, 0x20000);
        rig.Driver.Write(0x090, 0x21000);
        rig.Driver.Write(0x0a0, 0x22000);
        rig.Driver.Write(0x044, 1);
        rig.Driver.Status |= VirtioStatus.DriverOk;
        Assert.All(rig.Device.Activation!.Queues, Assert.NotNull);

        rig.Driver.Write(0x030, 0);
        rig.Driver.Write(0x044, 0);
        Assert.Equal(0u, rig.Driver.Read(0x044));
        Assert.Equal(["Activate", "Deactivate", "Activate"], rig.Device.Calls.TakeLast(3));
        Assert.Null(rig.Device.Activation!.Queues[0]);
        Assert.NotNull(rig.Device.Activation.Queues[1]);
    }

    [Fact(DisplayName = "4.2.2: QueueNotify signals the queue's event")]
    public void Notify()
    {
        using TransportRig rig = new(queues: 3);
        rig.Driver.Notify(1);
        Assert.Equal([false, true, false], rig.Transport.Notifications.Select(n => n.TryDrain()));
    }

    [Fact(DisplayName = "4.2.2.1: InterruptStatus shows an event until acknowledged; each event raises the line")]
    public void Interrupts()
    {
        using TransportRig rig = new();
        rig.Driver.Start(16);
        IVirtioInterrupt interrupt = rig.Device.Activation!.Interrupt;
        interrupt.UsedBuffer();
        Assert.Equal((1u, 1L), (rig.Driver.Read(0x060), rig.Line.Edges));
        interrupt.ConfigChanged();
        interrupt.UsedBuffer();
        Assert.Equal((3u, 3L), (rig.Driver.Read(0x060), rig.Line.Edges));
        rig.Driver.Write(0x064, 1);
        Assert.Equal(2u, rig.Driver.Read(0x060));
        rig.Driver.Write(0x064, 0xFFFF_FFFF);
        Assert.Equal(0u, rig.Driver.Read(0x060));
        Assert.Equal(3, rig.Line.Edges);
    }

    [Fact(DisplayName = "2.1.2: DEVICE_NEEDS_RESET with DRIVER_OK MUST send a configuration change notification")]
    public void Needs_reset()
    {
        using TransportRig rig = new();
        rig.Driver.Start(16);
        rig.Device.Activation!.Interrupt.NeedsReset();
        Assert.Equal(Ready | VirtioStatus.NeedsReset, rig.Driver.Status);
        Assert.Equal((2u, 1L), (rig.Driver.Read(0x060), rig.Line.Edges));
        rig.Driver.Status = Ready; // the driver cannot talk it away
        Assert.Equal(Ready | VirtioStatus.NeedsReset, rig.Driver.Status);
        rig.Driver.Start(16);
        Assert.Equal(Ready, rig.Driver.Status);
    }

    [Fact(DisplayName = "2.4.1, 4.2.2.1: reset ends all work and MUST clear Status, InterruptStatus, QueueReady")]
    public void Reset()
    {
        using TransportRig rig = new(features: 1);
        rig.Driver.Start(16);
        rig.Device.Activation!.Interrupt.UsedBuffer();
        rig.Driver.Status = VirtioStatus.None;
        Assert.Equal([nameof(IVirtioDevice.Deactivate), "Negotiated 0"], rig.Device.Calls[^2..]);
        Assert.Equal((VirtioStatus.None, 0u), (rig.Driver.Status, rig.Driver.Read(0x060)));
        rig.Driver.Write(0x030, 0);
        Assert.Equal(0u, rig.Driver.Read(0x044));
        VirtioTransportState state = rig.Transport.Save();
        Assert.Equal((0UL, default(VirtqueueState)), (state.DriverFeatures, state.Queues[0]));
    }

    [Fact(DisplayName = "2.5, 4.2.2.1: ConfigGeneration MUST change with configuration space")]
    public void Config_generation()
    {
        using TransportRig rig = new();
        uint before = rig.Driver.Read(0x0fc);
        rig.Device.ConfigGeneration++;
        Assert.NotEqual(before, rig.Driver.Read(0x0fc));
    }

    [Fact(DisplayName = "A configuration that changed while the driver was setting up is told to it at DRIVER_OK")]
    public void Config_change_before_driver_ok()
    {
        using TransportRig rig = new();
        rig.Driver.Negotiate();
        rig.Driver.SetUpQueue(16);
        rig.Device.ConfigGeneration++;
        Assert.Equal(0, rig.Line.Edges);
        rig.Driver.Status |= VirtioStatus.DriverOk;
        Assert.Equal((2u, 1L), (rig.Driver.Read(0x060), rig.Line.Edges));
        rig.Driver.Start(16);
        Assert.Equal((0u, 1L), (rig.Driver.Read(0x060), rig.Line.Edges));
    }

    [Fact(DisplayName = "Random register accesses: never an exception")]
    public void Random_accesses()
    {
        Random random = new(415);
        using TransportRig rig = new(queues: 2, features: 0x7);
        uint[] values = [0, 1, 2, 3, 8, 15, 64, 0x1000, 0x2000, 0x80000000, uint.MaxValue];
        int active = 0;
        byte[] data = new byte[8];
        for (int i = 0; i < 300_000; i++)
        {
            ulong offset = random.Next(8) == 0 ? (ulong)random.Next(0x200) : (ulong)random.Next(0x44) * 4;
            if (random.Next(6) == 0) rig.Driver.Start(16);
            if (random.Next(3) == 0) rig.Driver.Status = (VirtioStatus)random.Next(16);
            Span<byte> access = data.AsSpan(0, 1 << random.Next(4));
            if (random.Next(4) != 0) access = data.AsSpan(0, 4);
            if (random.Next(2) == 0)
            {
                rig.Transport.Read(offset, access);
            }
            else
            {
                BitConverter.TryWriteBytes(data, values[random.Next(values.Length)]);
                if (offset is < 0x100 or >= 0x108) rig.Transport.Write(offset & ~0x100UL, access);
            }

            if (rig.Device.Activation is not null) active++;
            if (i % 100 == 0) rig.Memory.Release(0x1000);
            rig.Device.Calls.Clear();
        }

        Assert.InRange(active, 1000, 299_000);
    }
}
