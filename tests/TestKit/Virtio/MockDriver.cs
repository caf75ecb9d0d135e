using System.Buffers.Binary;
using Virtio;

namespace TestKit.Virtio;

/// <summary>A guest's virtio-mmio driver: it knows the device by its registers and its interrupt only.</summary>
public sealed class MockDriver(IMmioDevice registers, TestMemory memory, TestLine line)
{
    public TestMemory Memory => memory;

    public TestLine Line => line;

    /// <summary>The registers it talks to; another set after the machine has moved.</summary>
    public IMmioDevice Registers { get; set; } = registers;

    /// <summary>Queue 0.</summary>
    public DriverQueue Queue { get; private set; } = null!;

    public ulong Features { get; private set; }

    public VirtioStatus Status
    {
        get => (VirtioStatus)Read(0x070);
        set => Write(0x070, (uint)value);
    }

    public uint Read(ulong offset)
    {
        Span<byte> data = stackalloc byte[4];
        Registers.Read(offset, data);
        return BinaryPrimitives.ReadUInt32LittleEndian(data);
    }

    public void Write(ulong offset, uint value)
    {
        Span<byte> data = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(data, value);
        Registers.Write(offset, data);
    }

    public byte[] ReadConfig(ulong offset, int length)
    {
        byte[] data = new byte[length];
        Registers.Read(0x100 + offset, data);
        return data;
    }

    /// <summary>
    /// A 64-bit field of configuration space, in two halves under the generation's protection (§2.5.1).
    /// </summary>
    public ulong ReadConfig64(ulong offset)
    {
        while (true)
        {
            uint before = Read(0x0fc);
            ulong value = Read(0x100 + offset) | ((ulong)Read(0x104 + offset) << 32);
            if (Read(0x0fc) == before) return value;
        }
    }

    public ulong ReadOffered()
    {
        Write(0x014, 0);
        ulong low = Read(0x010);
        Write(0x014, 1);
        return low | ((ulong)Read(0x010) << 32);
    }

    public void Accept(ulong features)
    {
        Write(0x024, 0);
        Write(0x020, (uint)features);
        Write(0x024, 1);
        Write(0x020, (uint)(features >> 32));
        Features = features;
    }

    /// <summary>Steps 1 to 6 of §3.1.1.</summary>
    /// <param name="unwanted">Offered features to leave out.</param>
    /// <returns>Whether the device has agreed.</returns>
    public bool Negotiate(ulong unwanted = 0)
    {
        Status = VirtioStatus.None;
        Status = VirtioStatus.Acknowledge;
        Status |= VirtioStatus.Driver;
        Accept(ReadOffered() & ~unwanted);
        Status |= VirtioStatus.FeaturesOk;
        return Status.HasFlag(VirtioStatus.FeaturesOk);
    }

    /// <summary>§4.2.3.2 for queue 0.</summary>
    public DriverQueue SetUpQueue(ushort size)
    {
        Queue = new DriverQueue(memory, size, (Features & VirtioFeatures.EventIdx) != 0);
        ConfigureQueue(size, Queue.Descriptors.Value, Queue.Available.Value, Queue.Used.Value);
        return Queue;
    }

    /// <summary>§4.2.3.2 for another queue.</summary>
    public DriverQueue SetUpQueue(uint number, ushort size)
    {
        DriverQueue queue = new(memory, size, (Features & VirtioFeatures.EventIdx) != 0);
        ConfigureQueue(size, queue.Descriptors.Value, queue.Available.Value, queue.Used.Value, number);
        return queue;
    }

    public void ConfigureQueue(uint size, ulong descriptors, ulong available, ulong used, uint number = 0)
    {
        Write(0x030, number);
        Write(0x038, size);
        Write(0x080, (uint)descriptors);
        Write(0x084, (uint)(descriptors >> 32));
        Write(0x090, (uint)available);
        Write(0x094, (uint)(available >> 32));
        Write(0x0a0, (uint)used);
        Write(0x0a4, (uint)(used >> 32));
        Write(0x044, 1);
    }

    /// <summary>The whole of §3.1.1 with one queue.</summary>
    public DriverQueue Start(ushort size = 64, ulong unwanted = 0)
    {
        if (!Negotiate(unwanted)) throw new InvalidOperationException("The device refused its own features");
        DriverQueue queue = SetUpQueue(size);
        Status |= VirtioStatus.DriverOk;
        return queue;
    }

    public void Notify(uint queue = 0) => Write(0x050, queue);

    /// <summary>Publishes what was added, and notifies the device if it wants that.</summary>
    public void Kick()
    {
        if (Queue.Publish()) Notify();
    }

    /// <summary>Waits for the next used element by interrupt only, never by looking again and again.</summary>
    /// <exception cref="TimeoutException">A used buffer or its notification got lost.</exception>
    public UsedElement WaitUsed()
    {
        while (true)
        {
            long edges = line.Edges;
            if (Queue.TryTake(out UsedElement element)) return element;
            if (Queue.Listen()) continue;
            line.Wait(edges);
            Acknowledge();
        }
    }

    /// <summary>What an interrupt handler does first.</summary>
    /// <returns>The bits that were set.</returns>
    public uint Acknowledge()
    {
        uint bits = Read(0x060);
        if (bits != 0) Write(0x064, bits);
        return bits;
    }
}
