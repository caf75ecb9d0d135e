using Virtio;
using Vmm.Buses;
using Xunit;

namespace Vmm.Tests.Buses;

public sealed class BusTests
{
    private readonly Device _a = new(0xA0), _b = new(0xB0);

    [Fact]
    public void Ports_reach_their_device_by_offset()
    {
        PortBus bus = new(new PortRange(0x2F8, 8, _b), new PortRange(0x70, 2, _a));
        Assert.Equal((true, 0xA0), (Read(bus, 0x70, out byte value), value));
        Assert.Equal((true, 0xA1), (Read(bus, 0x71, out value), value));
        Assert.Equal((true, 0xB7), (Read(bus, 0x2FF, out value), value));
        Assert.True(bus.Write(0x2FA, [1, 2]));
        Assert.Equal(2, _b.Offset);
        Assert.Equal([1, 2], _b.Written!);
    }

    [Theory]
    [InlineData(0x6F)]
    [InlineData(0x72)]
    [InlineData(0x2F7)]
    [InlineData(0x300)]
    [InlineData(0)]
    [InlineData(0xFFFF)]
    public void Ports_of_nobody_read_as_ones_and_swallow_writes(ushort port)
    {
        PortBus bus = new(new PortRange(0x70, 2, _a), new PortRange(0x2F8, 8, _b));
        Assert.Equal((false, 0xFF), (Read(bus, port, out byte value), value));
        Assert.False(bus.Write(port, [0]));
        Assert.Null(_a.Written);
        Assert.Null(_b.Written);
    }

    [Theory]
    [InlineData(0x71, 2)]
    [InlineData(0x6F, 2)]
    [InlineData(0x70, 4)]
    public void An_access_that_is_only_partly_a_devices_is_nobodys(ushort port, int length)
    {
        PortBus bus = new(new PortRange(0x70, 2, _a));
        byte[] data = new byte[length];
        Assert.False(bus.Read(port, data));
        Assert.All(data, value => Assert.Equal(0xFF, value));
        Assert.False(bus.Write(port, data));
        Assert.Null(_a.Written);
    }

    [Theory]
    [InlineData(0x100, 0)]
    [InlineData(0xFFF9, 8)]
    [InlineData(0x77, 8)]
    [InlineData(0x70, 8)]
    [InlineData(0x72, 1)]
    [InlineData(0x6F, 100)]
    public void Empty_overlapping_and_overlong_port_ranges_are_refused(ushort start, ushort count) =>
        Assert.Throws<ArgumentException>(
            () => new PortBus(new PortRange(start, count, _a), new PortRange(0x70, 8, _b)));

    [Fact]
    public void Neighbours_and_the_last_port_are_fine()
    {
        PortBus bus = new(
            new PortRange(0x70, 8, _a), new PortRange(0x78, 8, _b),
            new PortRange(0x68, 8, _b), new PortRange(0xFFF8, 8, _b));
        Assert.Equal((true, 0xB7), (Read(bus, 0xFFFF, out byte value), value));
        Assert.Equal((true, 0xA7), (Read(bus, 0x77, out value), value));
    }

    [Fact]
    public void Windows_reach_their_device_and_the_rest_reads_as_ones()
    {
        MmioBus bus = new(new MmioRange(0xFEB0_0200, 0x200, _b), new MmioRange(0xFEB0_0000, 0x200, _a));
        byte[] data = new byte[8];
        Assert.True(bus.Read(0xFEB0_01F8, data));
        Assert.Equal((0x1F8, 8), (_a.Offset, _a.Length));
        Assert.True(bus.Write(0xFEB0_0200, [1, 2, 3, 4]));
        Assert.Equal(0, _b.Offset);
        Assert.Equal([1, 2, 3, 4], _b.Written!);
        Assert.False(bus.Read(0xFEB0_01FC, data)); // reaches into the next one's
        Assert.All(data, value => Assert.Equal(0xFF, value));
        Assert.False(bus.Read(ulong.MaxValue, data));
        Assert.False(bus.Write(0, [0]));
    }

    [Theory]
    [InlineData(0x1000UL, 0UL)]
    [InlineData(0xFFFF_FFFF_FFFF_F000UL, 0x1001UL)]
    [InlineData(0x0UL, ulong.MaxValue)]
    [InlineData(0x1FFUL, 0x2UL)]
    public void Bad_windows_are_refused(ulong start, ulong length) =>
        Assert.Throws<ArgumentException>(
            () => new MmioBus(new MmioRange(0x200, 0x10, _a), new MmioRange(start, length, _b)));

    [Fact]
    public void A_window_may_end_with_the_last_address()
    {
        MmioBus bus = new(new MmioRange(0xFFFF_FFFF_FFFF_F000, 0x1000, _a));
        Assert.True(bus.Write(ulong.MaxValue, [7]));
        Assert.Equal(0xFFF, _a.Offset);
    }

    [Fact]
    public void Looking_up_allocates_nothing()
    {
        PortBus bus = new(new PortRange(0x70, 2, _a), new PortRange(0x2F8, 8, _b));
        Span<byte> data = [0];
        bus.Read(0x71, data);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 1000; i++) bus.Read(0x71, data);
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }

    private static bool Read(PortBus bus, ushort port, out byte value)
    {
        Span<byte> data = [0];
        bool answered = bus.Read(port, data);
        value = data[0];
        return answered;
    }

    /// <summary>Answers with a base value plus the offset, and remembers the last access.</summary>
    private sealed class Device(byte first) : IPortDevice, IMmioDevice
    {
        public int Offset { get; private set; }

        public int Length { get; private set; }

        public byte[]? Written { get; private set; }

        public void Read(ushort offset, Span<byte> data) => Read((ulong)offset, data);

        public void Write(ushort offset, ReadOnlySpan<byte> data) => Write((ulong)offset, data);

        public void Read(ulong offset, Span<byte> data)
        {
            (Offset, Length) = ((int)offset, data.Length);
            for (int i = 0; i < data.Length; i++) data[i] = (byte)(first + (int)offset + i);
        }

        public void Write(ulong offset, ReadOnlySpan<byte> data) => (Offset, Written) = ((int)offset, data.ToArray());
    }
}
