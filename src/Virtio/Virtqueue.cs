using System.Numerics;
using System.Runtime.InteropServices;
using CowMemory;

namespace Virtio;

/// <summary>A split virtqueue, device side (virtio 1.2 §2.7).</summary>
/// <remarks>
/// One thread at a time. Nothing the guest does makes it throw: every value is copied out of guest memory once and
/// checked. It allocates nothing after it was made.
/// </remarks>
public sealed class Virtqueue
{
    private const ushort Next = 1, Write = 2, Indirect = 4; // VIRTQ_DESC_F_*
    private const int DescriptorBytes = 16;
    private const ushort NoNotify = 1; // VIRTQ_USED_F_NO_NOTIFY and VIRTQ_AVAIL_F_NO_INTERRUPT
    private const int MaxSize = 32768;

    private readonly GuestMemory _memory;
    private readonly bool _indirect;
    private readonly bool _eventIdx;
    private readonly ushort[] _returned; // the first _returnedCount; Returned in _state is not kept up
    private VirtqueueState _state;
    private int _returnedCount;
    private ushort _announced; // used index up to which the driver has been told, or has asked not to be
    private bool _muted;

    private Virtqueue(GuestMemory memory, VirtqueueState state, ulong features)
    {
        _memory = memory;
        _state = state;
        _indirect = (features & VirtioFeatures.IndirectDescriptors) != 0;
        _eventIdx = (features & VirtioFeatures.EventIdx) != 0;
        _announced = state.NextUsed;
        _returned = new ushort[state.Size];
        foreach (ushort head in state.Returned) _returned[_returnedCount++] = head;
    }

    /// <summary>Its state. Complete for saving while the device is suspended.</summary>
    public VirtqueueState State => _state with { Returned = [.. _returned.AsSpan(0, _returnedCount)] };

    private int InFlight => (ushort)(_state.NextAvail - _state.NextUsed);

    /// <summary>Why it is broken, or None.</summary>
    public VirtqueueFault Fault { get; private set; }

    /// <summary>Takes a queue into use.</summary>
    /// <param name="memory">The guest's memory.</param>
    /// <param name="state">What the driver has set up, or what was saved.</param>
    /// <param name="features">The negotiated features.</param>
    /// <param name="queue">The queue.</param>
    /// <returns>
    /// False where the size is not a power of two up to 32768, a part is not memory or not aligned (§2.7), or the saved
    /// heads do not account for the chains that are on their way.
    /// </returns>
    public static bool TryCreate(GuestMemory memory, VirtqueueState state, ulong features, out Virtqueue? queue)
    {
        queue = null;
        if (!BitOperations.IsPow2(state.Size) || state.Size > MaxSize) return false;
        if (!IsPart(memory, state.DescriptorArea, DescriptorBytes, DescriptorBytes * state.Size)
            || !IsPart(memory, state.DriverArea, 2, 6 + (2 * state.Size))
            || !IsPart(memory, state.DeviceArea, 4, 6 + (8 * state.Size)))
            return false;
        int inFlight = (ushort)(state.NextAvail - state.NextUsed);
        if (inFlight > state.Size || state.Returned.Count != inFlight) return false;
        queue = new Virtqueue(memory, state, features);
        return true;
    }

    /// <summary>Takes the next chain: one that was given back (<see cref="Return"/>), else the next available one.</summary>
    /// <param name="chain">Filled when the answer is <see cref="VirtqueuePop.Chain"/>.</param>
    public VirtqueuePop Pop(DescriptorChain chain)
    {
        if (Fault != VirtqueueFault.None) return VirtqueuePop.Broken;
        if (_returnedCount != 0)
        {
            Fault = Walk(_returned[--_returnedCount], chain);
            return Fault == VirtqueueFault.None ? VirtqueuePop.Chain : VirtqueuePop.Broken;
        }

        // Acquire: ring entry and descriptors are not read before the index that publishes them (§2.7.13.3.1).
        ushort available = Load(_state.DriverArea + 2);
        int pending = (ushort)(available - _state.NextAvail);
        if (pending == 0) return VirtqueuePop.Empty;
        // What is on its way is still in the driver's books, so both together fit into the queue.
        Fault = pending > _state.Size - InFlight
            ? VirtqueueFault.AvailableIndex
            : Walk(Load(_state.DriverArea + 4 + (2 * Slot(_state.NextAvail))), chain);
        if (Fault != VirtqueueFault.None) return VirtqueuePop.Broken;
        _state.NextAvail++;
        return VirtqueuePop.Chain;
    }

    /// <summary>Gives a chain back to the driver.</summary>
    /// <param name="head">Its <see cref="DescriptorChain.Head"/>.</param>
    /// <param name="written">
    /// How many bytes were written, from the start of its first writable buffer without a gap (§2.7.8.2).
    /// </param>
    public void Push(ushort head, uint written)
    {
        // struct virtq_used_elem { le32 id; le32 len; }
        Gpa element = new(_state.DeviceArea + 4 + (8 * Slot(_state.NextUsed)));
        Checked(_memory.TryStore(element, head | ((ulong)written << 32)));
        _state.NextUsed++;
        // Release: the element and everything written into the buffers is visible before the index (§2.7.8.2).
        Store(_state.DeviceArea + 2, _state.NextUsed);
    }

    /// <summary>
    /// Takes a chain back that <see cref="Pop"/> has given out and that was not pushed: it is given out again, from the
    /// descriptors as they are then.
    /// </summary>
    /// <param name="head">Its <see cref="DescriptorChain.Head"/>.</param>
    public void Return(ushort head) => _returned[_returnedCount++] = head;

    /// <summary>Whether the driver wants to be notified of what was pushed since the last call (§2.7.7.2).</summary>
    public bool MustNotify()
    {
        ushort before = _announced;
        _announced = _state.NextUsed;
        if (before == _announced) return false;
        // The used index must be visible before the driver's wish is read: the driver stores its wish and then looks at
        // the index, so with both orders kept one of the two notices the other. Store then load needs a full barrier,
        // on x86 too.
        Interlocked.MemoryBarrier();
        if (!_eventIdx) return (Load(_state.DriverArea) & NoNotify) == 0;
        ushort wanted = Load(_state.DriverArea + 4 + (2UL * _state.Size));
        return (ushort)(_announced - wanted - 1) < (ushort)(_announced - before);
    }

    /// <summary>
    /// Tells the driver that notifications are not needed: the device is looking anyway (§2.7.10). Only a hint.
    /// </summary>
    public void Mute()
    {
        // With EVENT_IDX the old avail_event, once passed, already means silence.
        if (_muted) return;
        _muted = true;
        if (!_eventIdx) Store(_state.DeviceArea, NoNotify);
    }

    /// <summary>Asks for a notification of the next available chain, before waiting for it (§2.7.10).</summary>
    /// <returns>
    /// Whether a chain has become available meanwhile: then there may be no notification, look again.
    /// </returns>
    public bool Listen()
    {
        _muted = false;
        if (_eventIdx) Store(_state.DeviceArea + 4 + (8UL * _state.Size), _state.NextAvail);
        // Without EVENT_IDX flags MUST be 0 or 1, with it 0 (§2.7.10.2); a saved queue may come with either.
        Store(_state.DeviceArea, 0);
        // The mirror image of MustNotify: wish first, then look.
        Interlocked.MemoryBarrier();
        return _returnedCount != 0 || Load(_state.DriverArea + 2) != _state.NextAvail;
    }

    private static bool IsPart(GuestMemory memory, ulong address, uint alignment, int length) =>
        address % alignment == 0 && memory.TryRead(new Gpa(address), length, out _);

    private VirtqueueFault Walk(ushort head, DescriptorChain chain)
    {
        chain.Begin(head);
        ulong table = _state.DescriptorArea;
        uint count = _state.Size;
        bool nested = false;
        // Ends: a chain takes only so many descriptors, and there is one step into an indirect table at most.
        for (ushort index = head; ;)
        {
            if (index >= count) return VirtqueueFault.DescriptorIndex;
            Checked(_memory.TryLoad(new Gpa(table + ((ulong)index * DescriptorBytes)), out Descriptor descriptor));
            if ((descriptor.Flags & Indirect) != 0)
            {
                if (!_indirect) return VirtqueueFault.IndirectNotNegotiated;
                if (nested || (descriptor.Flags & Next) != 0) return VirtqueueFault.IndirectNested;
                if (descriptor.Length == 0 || descriptor.Length % DescriptorBytes != 0
                    || !_memory.TryVector(new Gpa(descriptor.Address), descriptor.Length, out _))
                    return VirtqueueFault.IndirectTable;
                nested = true;
                table = descriptor.Address;
                count = descriptor.Length / DescriptorBytes;
                index = 0;
                continue;
            }

            VirtqueueFault fault = chain.Add(
                new ChainBuffer(new Gpa(descriptor.Address), descriptor.Length),
                (descriptor.Flags & Write) != 0);
            if (fault != VirtqueueFault.None) return fault;
            if ((descriptor.Flags & Next) == 0) return VirtqueueFault.None;
            index = descriptor.Next;
        }
    }

    private ulong Slot(ushort index) => index & (_state.Size - 1UL);

    private ushort Load(ulong address)
    {
        Checked(_memory.TryLoadAcquire(new Gpa(address), out ushort value));
        return value;
    }

    private void Store(ulong address, ushort value) => Checked(_memory.TryStoreRelease(new Gpa(address), value));

    /// <summary>
    /// Ring and tables were found to be memory when the queue, or the chain, was taken up; memory does not go away.
    /// </summary>
    private static void Checked(bool found)
    {
        if (!found) throw new InvalidOperationException("A checked part of a virtqueue is no longer guest memory");
    }

    /// <summary><c>struct virtq_desc</c> (§2.7.5).</summary>
    [StructLayout(LayoutKind.Sequential)]
    private readonly struct Descriptor
    {
        public readonly ulong Address;
        public readonly uint Length;
        public readonly ushort Flags;
        public readonly ushort Next;
    }
}
