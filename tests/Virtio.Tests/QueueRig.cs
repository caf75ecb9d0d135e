using CowMemory;
using TestKit.Virtio;

namespace Virtio.Tests;

/// <summary>A device-side queue and a driver-side queue over the same memory, with nothing between.</summary>
internal sealed class QueueRig : IDisposable
{
    public QueueRig(ushort size = 8, ulong features = 0, ushort startAt = 0)
    {
        Driver = new DriverQueue(Memory, size, (features & VirtioFeatures.EventIdx) != 0);
        Driver.StartAt(startAt);
        State = new VirtqueueState
        {
            Size = size,
            Ready = true,
            DescriptorArea = Driver.Descriptors.Value,
            DriverArea = Driver.Available.Value,
            DeviceArea = Driver.Used.Value,
            NextAvail = startAt,
            NextUsed = startAt,
        };
        Chain = new DescriptorChain(size);
        Device = Virtqueue.TryCreate(Memory.Memory, State, features, out Virtqueue? queue)
            ? queue!
            : throw new InvalidOperationException("The queue was refused");
    }

    public TestMemory Memory { get; } = new(256 << 10);

    public DriverQueue Driver { get; }

    public VirtqueueState State { get; }

    public DescriptorChain Chain { get; }

    public Virtqueue Device { get; }

    public DriverBuffer Readable(int length = 16) => DriverBuffer.Readable(Memory.Allocate(length), (uint)length);

    public DriverBuffer Writable(int length = 16) => DriverBuffer.Writable(Memory.Allocate(length), (uint)length);

    public static DriverBuffer At(ulong address, uint length, bool writable = false) =>
        new(new Gpa(address), length, writable);

    public VirtqueuePop Pop() => Device.Pop(Chain);

    public void Dispose() => Memory.Dispose();
}
