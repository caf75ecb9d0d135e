using TestKit.Virtio;

namespace Virtio.Tests;

/// <summary>A transport with a device that does nothing.</summary>
internal sealed class TransportRig : IDisposable
{
    public TransportRig(int queues = 1, ulong features = 0)
    {
        Device = new FakeDevice(queues, features);
        Transport = new VirtioMmioTransport(Device, Memory.Memory, Line);
        Driver = new MockDriver(Transport, Memory, Line);
    }

    public TestMemory Memory { get; } = new(256 << 10);

    public TestLine Line { get; } = new();

    public FakeDevice Device { get; }

    public VirtioMmioTransport Transport { get; }

    public MockDriver Driver { get; }

    public void Dispose()
    {
        Device.Dispose();
        Memory.Dispose();
    }
}
