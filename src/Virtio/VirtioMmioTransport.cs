using System.Buffers.Binary;
using CowMemory;
using Kvm.Interop;

namespace Virtio;

/// <summary>
/// A virtio device's registers in memory: the MMIO transport, version 2 (virtio 1.2 §4.2). It owns nothing.
/// </summary>
/// <remarks>
/// Registers may be used by several vCPU threads at once, and <see cref="IVirtioInterrupt"/> by the device's own: what
/// both sides change (status, interrupt status) is changed by atomic operations, the rest under a lock that only
/// register accesses and the owner take. A reset waits for the request the device is working on. <see cref="Suspend"/>,
/// <see cref="Save"/>, <see cref="Load"/> and <see cref="Resume"/> are for the owner, with all vCPUs stopped.
/// </remarks>
public sealed class VirtioMmioTransport : IMmioDevice, IVirtioInterrupt
{
    /// <summary>Length of the register window, bytes: 0x100 of registers, then configuration space.</summary>
    public const ulong WindowBytes = 0x200;

    /// <summary>Offset of QueueNotify, where an ioeventfd with the queue's number as data match belongs.</summary>
    public const ulong QueueNotifyOffset = 0x50;

    private const uint Magic = 0x74726976; // "virt"
    private const uint Version = 2;
    private const uint Vendor = 0x564B4742; // "BGKV"
    private const uint UsedBufferBit = 1;
    private const uint ConfigChangedBit = 2;
    private const ulong ConfigOffset = 0x100;
    private const VirtioStatus DriverBits = VirtioStatus.Acknowledge | VirtioStatus.Driver | VirtioStatus.DriverOk
        | VirtioStatus.FeaturesOk | VirtioStatus.Failed;

    private readonly Lock _gate = new();
    private readonly IVirtioDevice _device;
    private readonly GuestMemory _memory;
    private readonly IInterruptLine _line;
    private readonly ulong _offered;
    private readonly VirtqueueState[] _registers; // of the queues, as the driver sets them up
    private readonly Virtqueue?[] _queues; // at work: these hold the state then
    private int _status;
    private uint _interruptStatus;
    private uint _deviceFeaturesSelect, _driverFeaturesSelect, _queueSelect;
    private ulong _driverFeatures;
    private uint _generationBase; // makes ConfigGeneration go on where a loaded state stopped
    private uint _generationAtReset;
    private bool _active, _suspended;

    /// <summary>Puts registers before a device.</summary>
    /// <param name="device">The device.</param>
    /// <param name="memory">The guest's memory.</param>
    /// <param name="line">The device's interrupt.</param>
    public VirtioMmioTransport(IVirtioDevice device, GuestMemory memory, IInterruptLine line)
    {
        _device = device;
        _memory = memory;
        _line = line;
        _offered = device.Features | VirtioFeatures.Transport;
        _registers = new VirtqueueState[device.Notifications.Count];
        _queues = new Virtqueue?[_registers.Length];
        _generationAtReset = device.ConfigGeneration;
    }

    /// <summary>One a queue: the event that an ioeventfd at <see cref="QueueNotifyOffset"/> is to signal.</summary>
    public IReadOnlyList<EventFd> Notifications => _device.Notifications;

    /// <summary>The device status field.</summary>
    public VirtioStatus Status => (VirtioStatus)Volatile.Read(ref _status);

    private uint Generation => _generationBase + _device.ConfigGeneration;

    /// <inheritdoc/>
    public void Read(ulong offset, Span<byte> data)
    {
        data.Clear();
        if (offset >= ConfigOffset)
        {
            _device.ReadConfig(offset - ConfigOffset, data);
        }
        else if (data.Length == sizeof(uint))
        {
            // Drivers MUST use aligned 32-bit accesses here (§4.2.2.2); others read zero.
            lock (_gate) BinaryPrimitives.WriteUInt32LittleEndian(data, ReadRegister(offset));
        }
    }

    /// <inheritdoc/>
    public void Write(ulong offset, ReadOnlySpan<byte> data)
    {
        if (offset >= ConfigOffset)
        {
            _device.WriteConfig(offset - ConfigOffset, data);
            return;
        }

        if (data.Length != sizeof(uint)) return;
        uint value = BinaryPrimitives.ReadUInt32LittleEndian(data);
        if (offset == QueueNotifyOffset)
        {
            if (value < (uint)Notifications.Count) Notifications[(int)value].Signal();
            return;
        }

        lock (_gate) WriteRegister(offset, value);
    }

    /// <inheritdoc/>
    public void UsedBuffer() => Interrupt(UsedBufferBit);

    /// <inheritdoc/>
    public void ConfigChanged() => Interrupt(ConfigChangedBit);

    /// <inheritdoc/>
    public void NeedsReset()
    {
        int before = Interlocked.Or(ref _status, (int)VirtioStatus.NeedsReset);
        if (((VirtioStatus)before).HasFlag(VirtioStatus.DriverOk)) ConfigChanged(); // MUST, §2.1.2
    }

    /// <summary>Stops the device between two requests (<see cref="IVirtioDevice.Suspend"/>).</summary>
    public bool Suspend(long limit = long.MaxValue) => _suspended = _device.Suspend(limit);

    /// <summary>
    /// Lets the device go on. It looks at its queues once, and an interrupt that the driver has not acknowledged is
    /// raised again: both may have got lost on the way from another machine, and a spurious one is harmless.
    /// </summary>
    public void Resume()
    {
        _suspended = false;
        _device.Resume();
        if (Volatile.Read(ref _interruptStatus) != 0) _line.Raise();
    }

    /// <summary>Device reset (§2.4), as a driver does by writing 0 to Status.</summary>
    public void Reset()
    {
        lock (_gate) ResetLocked();
    }

    /// <summary>Takes the state down.</summary>
    /// <exception cref="InvalidOperationException">The device is at work: suspend it first.</exception>
    public VirtioTransportState Save()
    {
        lock (_gate)
        {
            if (_active && !_suspended) throw new InvalidOperationException("Suspend a virtio device before saving it");
            VirtqueueState[] queues = new VirtqueueState[_registers.Length];
            for (int i = 0; i < queues.Length; i++) queues[i] = _queues[i]?.State ?? _registers[i];
            return new VirtioTransportState
            {
                Layout = VirtioTransportState.CurrentLayout,
                DeviceId = _device.DeviceId,
                DeviceFeaturesSelect = _deviceFeaturesSelect,
                DriverFeaturesSelect = _driverFeaturesSelect,
                DriverFeatures = _driverFeatures,
                QueueSelect = _queueSelect,
                Status = Status,
                InterruptStatus = _interruptStatus,
                ConfigGeneration = Generation,
                Settings = _device.Settings,
                Queues = queues,
            };
        }
    }

    /// <summary>
    /// Becomes what another transport was, and is suspended then: nothing is done and no interrupt is raised before
    /// <see cref="Resume"/>. So the owner can still go back, and interrupt controllers may be loaded before or after.
    /// </summary>
    /// <param name="state">The state.</param>
    /// <exception cref="InvalidOperationException">This transport is in use: <see cref="Reset"/> it first.</exception>
    /// <exception cref="InvalidDataException">The state cannot be one of this device.</exception>
    public void Load(VirtioTransportState state)
    {
        lock (_gate)
        {
            if (Status != VirtioStatus.None)
                throw new InvalidOperationException("Reset a virtio device before loading it");
            if (state.Layout != VirtioTransportState.CurrentLayout)
                throw new InvalidDataException($"The virtio device was saved in layout {state.Layout}, "
                    + $"this version reads layout {VirtioTransportState.CurrentLayout} only");
            if (state.DeviceId != _device.DeviceId || state.Queues.Count != _registers.Length
                // Before that a driver may write anything there: it is not accepted yet.
                || (state.Status.HasFlag(VirtioStatus.FeaturesOk) && (state.DriverFeatures & ~_offered) != 0))
                throw new InvalidDataException("The saved virtio device is of another kind, or has other features");
            _deviceFeaturesSelect = state.DeviceFeaturesSelect;
            _driverFeaturesSelect = state.DriverFeaturesSelect;
            _driverFeatures = state.DriverFeatures;
            _queueSelect = state.QueueSelect;
            for (int i = 0; i < _registers.Length; i++) _registers[i] = state.Queues[i];
            _interruptStatus = state.InterruptStatus;
            // One more than saved: what the driver may be in the middle of reading need not be what this device says.
            _generationBase = state.ConfigGeneration + 1 - _device.ConfigGeneration;
            _generationAtReset = _device.ConfigGeneration - 1;
            _status = (int)state.Status;
            if (state.Status.HasFlag(VirtioStatus.FeaturesOk)) _device.Negotiated(_driverFeatures);
            _device.Settings = state.Settings;
            Suspend();
            if (!state.Status.HasFlag(VirtioStatus.DriverOk)) return;
            // A queue that is broken may be left out then, and otherwise breaks again: the others go on as they have.
            if (!TryActivate(without: state.Status.HasFlag(VirtioStatus.NeedsReset)))
                throw new InvalidDataException("A saved virtqueue does not lie in guest memory");
        }
    }

    private void Interrupt(uint bit)
    {
        Interlocked.Or(ref _interruptStatus, bit);
        _line.Raise();
    }

    private uint ReadRegister(ulong offset) => offset switch
    {
        0x000 => Magic,
        0x004 => Version,
        0x008 => _device.DeviceId,
        0x00c => Vendor,
        0x010 => _deviceFeaturesSelect < 2 ? (uint)(_offered >> (int)(32 * _deviceFeaturesSelect)) : 0,
        0x034 => _queueSelect < _registers.Length ? _device.MaxQueueSize : 0u,
        0x044 => _queueSelect < _registers.Length && _registers[_queueSelect].Ready ? 1u : 0,
        0x060 => Volatile.Read(ref _interruptStatus),
        0x070 => (uint)Status,
        0x0b0 or 0x0b4 or 0x0b8 or 0x0bc => uint.MaxValue, // SHMLen, SHMBase: there is no shared memory region
        0x0fc => Generation,
        _ => 0, // write-only, QueueReset (not offered), or nothing
    };

    private void WriteRegister(ulong offset, uint value)
    {
        switch (offset)
        {
            case 0x014:
                _deviceFeaturesSelect = value;
                break;
            case 0x020:
                // Settled once FEATURES_OK is set: the only way to renegotiate is a reset (§2.2).
                if (Status.HasFlag(VirtioStatus.FeaturesOk)) break;
                if (_driverFeaturesSelect == 0) _driverFeatures = (_driverFeatures & ~(ulong)uint.MaxValue) | value;
                if (_driverFeaturesSelect == 1) _driverFeatures = (uint)_driverFeatures | ((ulong)value << 32);
                break;
            case 0x024:
                _driverFeaturesSelect = value;
                break;
            case 0x030:
                _queueSelect = value;
                break;
            case 0x064:
                Interlocked.And(ref _interruptStatus, ~value);
                break;
            case 0x070:
                WriteStatus((VirtioStatus)value);
                break;
            default:
                if (_queueSelect < _registers.Length) WriteQueueRegister(ref _registers[_queueSelect], offset, value);
                break;
        }
    }

    private void WriteQueueRegister(ref VirtqueueState queue, ulong offset, uint value)
    {
        if (offset == 0x044)
        {
            SetReady(ref queue, (value & 1) != 0);
            return;
        }

        // While it is ready drivers MUST NOT (§4.2.2.2).
        if (!queue.Ready) QueueRegisters.Write(ref queue, offset, value, _device.MaxQueueSize);
    }

    /// <summary>
    /// The device MUST NOT touch a queue that is not ready (§4.2.2.1): at work, it starts over with those that are.
    /// </summary>
    private void SetReady(ref VirtqueueState queue, bool ready)
    {
        if (queue.Ready == ready) return;
        bool restart = _active;
        if (restart) Deactivate();
        queue.Ready = ready;
        queue.NextAvail = queue.NextUsed = 0;
        queue.Returned = [];
        if (restart && !TryActivate()) NeedsReset();
    }

    private void WriteStatus(VirtioStatus written)
    {
        if (written == VirtioStatus.None)
        {
            ResetLocked();
            return;
        }

        // The driver MUST NOT clear a bit (§2.1.1), so a missing one means nothing.
        VirtioStatus added = written & DriverBits & ~Status;
        bool acceptable = (_driverFeatures & VirtioFeatures.Version1) != 0 && (_driverFeatures & ~_offered) == 0;
        if (!acceptable) added &= ~VirtioStatus.FeaturesOk;
        if (!(Status | added).HasFlag(VirtioStatus.FeaturesOk)) added &= ~VirtioStatus.DriverOk;
        if (added.HasFlag(VirtioStatus.FeaturesOk)) _device.Negotiated(_driverFeatures);
        Interlocked.Or(ref _status, (int)added);
        if (!added.HasFlag(VirtioStatus.DriverOk)) return;
        if (!TryActivate()) NeedsReset();
        // A change the driver was not listening for yet; it may have read the old configuration.
        if (_device.ConfigGeneration != _generationAtReset) ConfigChanged();
    }

    /// <summary>Has the device begin.</summary>
    /// <param name="without">Whether it does without queues that cannot be taken into use.</param>
    private bool TryActivate(bool without = false)
    {
        for (int i = 0; i < _queues.Length; i++)
        {
            _queues[i] = null;
            VirtqueueState queue = _registers[i];
            if (queue.Ready && !Virtqueue.TryCreate(_memory, queue, _driverFeatures, out _queues[i]) && !without) return false;
        }

        _active = true;
        _device.Activate(new VirtioActivation(_memory, [.. _queues], _driverFeatures, this));
        return true;
    }

    private void Deactivate()
    {
        _device.Deactivate();
        _active = false;
        for (int i = 0; i < _queues.Length; i++)
        {
            if (_queues[i] is { } queue) _registers[i] = queue.State;
            _queues[i] = null;
        }
    }

    private void ResetLocked()
    {
        Deactivate();
        Array.Clear(_registers);
        _device.Negotiated(0);
        _deviceFeaturesSelect = _driverFeaturesSelect = _queueSelect = 0;
        _driverFeatures = 0;
        _generationAtReset = _device.ConfigGeneration;
        // The device speaks no more by now, so nothing sets these again (§2.4.1).
        _interruptStatus = 0;
        Volatile.Write(ref _status, 0);
    }
}
