using CowMemory;

namespace TestKit.Virtio;

/// <summary>
/// A split virtqueue, driver side, written from virtio 1.2 §2.7 and not from our device: it sees memory only. Beside
/// the proper way it can write any descriptor and any index, as a driver gone wrong would.
/// </summary>
public sealed class DriverQueue
{
    public const ushort Next = 1;
    public const ushort Write = 2;
    public const ushort Indirect = 4;

    private readonly TestMemory _memory;
    private readonly Queue<ushort> _free = new();
    private readonly Dictionary<ushort, ushort[]> _chains = [];
    private ushort _published; // available index last shown to the device
    private ushort _added;

    public DriverQueue(TestMemory memory, ushort size, bool eventIdx)
    {
        _memory = memory;
        Size = size;
        EventIdx = eventIdx;
        Descriptors = memory.Allocate(16 * size);
        Available = memory.Allocate(6 + (2 * size), 2);
        Used = memory.Allocate(6 + (8 * size), 4);
        for (ushort i = 0; i < size; i++) _free.Enqueue(i);
    }

    public ushort Size { get; }

    public bool EventIdx { get; }

    public Gpa Descriptors { get; }

    public Gpa Available { get; }

    public Gpa Used { get; }

    /// <summary>Used index up to which the driver has looked.</summary>
    public ushort Seen { get; private set; }

    /// <summary>What the available index will be once everything added is published.</summary>
    public ushort Added => _added;

    public int FreeDescriptors => _free.Count;

    public ushort UsedIndex => LoadIndex(Used + 2);

    public ushort UsedFlags => LoadIndex(Used);

    public ushort AvailEvent => LoadIndex(Used + 4 + (8UL * Size));

    public ushort UsedEvent
    {
        get => LoadIndex(Available + 4 + (2UL * Size));
        set => StoreIndex(Available + 4 + (2UL * Size), value);
    }

    public bool SuppressInterrupts
    {
        set => StoreIndex(Available, value ? (ushort)1 : (ushort)0);
    }

    /// <summary>Lets both indices, device and driver side, begin anywhere: for wrap tests.</summary>
    public void StartAt(ushort index)
    {
        _published = _added = Seen = index;
        StoreIndex(Available + 2, index);
        StoreIndex(Used + 2, index);
    }

    /// <summary>
    /// Chains buffers in the table and puts the head into the available ring, unseen by the device so far.
    /// </summary>
    public ushort Add(params ReadOnlySpan<DriverBuffer> buffers)
    {
        ushort[] chain = new ushort[buffers.Length];
        for (int i = 0; i < chain.Length; i++) chain[i] = _free.Dequeue();
        for (int i = 0; i < chain.Length; i++)
        {
            bool last = i == chain.Length - 1;
            WriteDescriptor(chain[i], buffers[i], last ? (ushort)0 : Next, last ? (ushort)0 : chain[i + 1]);
        }

        _chains[chain[0]] = chain;
        Offer(chain[0]);
        return chain[0];
    }

    /// <summary>As <see cref="Add"/>, with some buffers in the table and the rest in an indirect one.</summary>
    public ushort AddIndirect(int direct, params ReadOnlySpan<DriverBuffer> buffers)
    {
        Gpa table = _memory.Allocate(16 * (buffers.Length - direct));
        for (int i = direct; i < buffers.Length; i++)
        {
            bool last = i == buffers.Length - 1;
            WriteDescriptor(table, (ushort)(i - direct), buffers[i], last ? (ushort)0 : Next, (ushort)(i - direct + 1));
        }

        ushort[] chain = new ushort[direct + 1];
        for (int i = 0; i < chain.Length; i++) chain[i] = _free.Dequeue();
        for (int i = 0; i < direct; i++) WriteDescriptor(chain[i], buffers[i], Next, chain[i + 1]);
        DriverBuffer tableBuffer = DriverBuffer.Readable(table, (uint)(16 * (buffers.Length - direct)));
        WriteDescriptor(chain[direct], tableBuffer, Indirect, 0);
        _chains[chain[0]] = chain;
        Offer(chain[0]);
        return chain[0];
    }

    /// <summary>Puts any head into the available ring.</summary>
    public void Offer(ushort head)
    {
        _memory.Memory.TryStore(Available + 4 + (2UL * (ushort)(_added % Size)), head);
        _added++;
    }

    /// <summary>Shows the device what was added.</summary>
    /// <returns>Whether the device must be notified (§2.7.10.2).</returns>
    public bool Publish()
    {
        ushort old = _published;
        _published = _added;
        StoreIndex(Available + 2, _added);
        Interlocked.MemoryBarrier(); // index before wish, §2.7.13.4.1
        if (!EventIdx) return (UsedFlags & 1) == 0;
        return (ushort)(_added - AvailEvent - 1) < (ushort)(_added - old);
    }

    /// <summary>Shows the device an available index of any value.</summary>
    public void PublishIndex(ushort index)
    {
        _published = _added = index;
        StoreIndex(Available + 2, index);
    }

    /// <summary>Takes the next used element.</summary>
    public bool TryTake(out UsedElement element)
    {
        element = default;
        if (UsedIndex == Seen) return false;
        _memory.Memory.TryLoad(Used + 4 + (8UL * (ushort)(Seen % Size)), out ulong raw);
        element = new UsedElement((uint)raw, (uint)(raw >> 32));
        Seen++;
        if (_chains.Remove((ushort)element.Id, out ushort[]? chain))
            foreach (ushort descriptor in chain) _free.Enqueue(descriptor);
        return true;
    }

    /// <summary>Asks for an interrupt at the next used element (§2.7.7).</summary>
    /// <returns>Whether there is one already: then there may be no interrupt.</returns>
    public bool Listen()
    {
        if (EventIdx) UsedEvent = Seen;
        else SuppressInterrupts = false;
        Interlocked.MemoryBarrier();
        return UsedIndex != Seen;
    }

    public void WriteDescriptor(ushort index, DriverBuffer buffer, ushort flags, ushort next) =>
        WriteDescriptor(Descriptors, index, buffer, flags, next);

    public void WriteDescriptor(Gpa table, ushort index, DriverBuffer buffer, ushort flags, ushort next)
    {
        Gpa at = table + (16UL * index);
        if (buffer.DeviceWritable) flags |= Write;
        _memory.Memory.TryStore(at, buffer.Address.Value);
        _memory.Memory.TryStore(at + 8, buffer.Length);
        _memory.Memory.TryStore(at + 12, flags);
        _memory.Memory.TryStore(at + 14, next);
    }

    private ushort LoadIndex(Gpa address) =>
        _memory.Memory.TryLoadAcquire(address, out ushort value) ? value : throw new GuestMemoryException(address, 2);

    private void StoreIndex(Gpa address, ushort value)
    {
        if (!_memory.Memory.TryStoreRelease(address, value)) throw new GuestMemoryException(address, 2);
    }
}
