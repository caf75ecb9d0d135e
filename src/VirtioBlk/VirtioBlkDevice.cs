using System.Text;
using Kvm.Interop;
using Virtio;
using VirtioBlk.Turns;

namespace VirtioBlk;

/// <summary>
/// A virtio block device (virtio 1.2 §5.2): request queues with a thread each, and a few workers for what has to wait.
/// </summary>
/// <remarks>
/// A queue's thread does at once what the host's page cache can answer; what has to wait for the disk goes to the
/// workers, flushes to a thread of their own that answers all that wait with one call. So neither a slow read nor a
/// flush holds up what comes after it. The device does not own its backend.
/// </remarks>
public sealed class VirtioBlkDevice : IVirtioDevice, IDisposable
{
    private const int MostMovers = 16;

    private readonly Lock _control = new(); // stopping and going: owner and vCPU threads, never the device's own
    private readonly object _flushing = new(); // held during a flush, the guest's or ours
    private readonly BlkDisk _disk;
    private readonly BlkQueue[] _queues;
    private readonly BlkWorkers? _movers, _flusher; // null only where making them has failed
    private volatile BlkConfig _config;
    private volatile bool _writeBack = true;
    private ulong _features; // negotiated
    private IVirtioInterrupt? _interrupt;
    private bool _suspended;

    /// <summary>Makes a device, with its threads parked.</summary>
    /// <param name="backend">
    /// The disk. Where it is read-only the device says so to the driver, for as long as it lives.
    /// </param>
    /// <param name="serial">What GET_ID answers: up to 20 ASCII characters.</param>
    /// <param name="name">Its threads' name, up to 11 characters: a queue's number or what they do is put behind.</param>
    /// <param name="queues">How many request queues it has, 1 to 256: one a vCPU.</param>
    /// <param name="turns">Asked before the host's disks are used; null: its turn is always.</param>
    /// <exception cref="LibcException">The process is out of descriptors.</exception>
    /// <exception cref="OutOfMemoryException">The host gives no further thread.</exception>
    public VirtioBlkDevice(IBlockBackend backend, string serial, string name, int queues = 1, IDiskTurns? turns = null)
    {
        if (serial.Length > BlkConfig.SerialBytes || !Ascii.IsValid(serial))
            throw new ArgumentException("A disk's serial has up to 20 ASCII characters", nameof(serial));
        ArgumentOutOfRangeException.ThrowIfLessThan(queues, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(queues, 256);
        byte[] padded = new byte[BlkConfig.SerialBytes];
        Encoding.ASCII.GetBytes(serial, padded);
        _disk = new BlkDisk(backend, padded, turns);
        _config = new BlkConfig(backend.LengthBytes, queues, 0);
        Features = BlkFeatures.SegmentMax | BlkFeatures.BlockSize | BlkFeatures.Topology | BlkFeatures.Flush
            | BlkFeatures.ConfigWriteCache | (queues > 1 ? BlkFeatures.MultiQueue : 0)
            | (backend.IsReadOnly ? BlkFeatures.ReadOnly : BlkFeatures.Discard | BlkFeatures.WriteZeroes);
        _queues = new BlkQueue[queues];
        try
        {
            _movers = new BlkWorkers($"{name}-io", MostMovers, together: false, Move);
            _flusher = new BlkWorkers($"{name}-fl", 1, together: true, (runs, _) => Flush(runs));
            for (int i = 0; i < queues; i++) _queues[i] = new BlkQueue(_disk, _movers, _flusher, $"{name}-q{i}");
        }
        catch
        {
            End();
            throw;
        }

        Notifications = [.. _queues.Select(queue => queue.Notification)];
    }

    /// <inheritdoc/>
    public uint DeviceId => 2;

    /// <inheritdoc/>
    public ulong Features { get; }

    /// <inheritdoc/>
    public ushort MaxQueueSize => BlkConfig.QueueSize;

    /// <inheritdoc/>
    public IReadOnlyList<EventFd> Notifications { get; }

    /// <inheritdoc/>
    public uint ConfigGeneration => _config.Generation;

    /// <inheritdoc/>
    public uint Settings
    {
        get => _writeBack ? 1u : 0;
        set => SetWriteBack(value != 0);
    }

    /// <summary>What it has done so far. Any thread; the figures need not belong to exactly the same moment.</summary>
    public BlkCounters Counters
    {
        get
        {
            BlkCounters sum = default;
            foreach (BlkQueue queue in _queues) sum += queue.Counters;
            return sum;
        }
    }

    /// <summary>Requests taken from the queues and not yet answered. Any thread.</summary>
    public int InFlight => _queues.Sum(static queue => queue.InFlight);

    /// <summary>Why the host last failed a request, or null.</summary>
    public Exception? LastHostError => _disk.LastHostError;

    /// <inheritdoc/>
    public void Negotiated(ulong features)
    {
        _features = features;
        // MUST (§5.2.5.2): without FLUSH the driver cannot have a write-back cache.
        SetWriteBack((features & BlkFeatures.ConfigWriteCache) == 0 || (features & BlkFeatures.Flush) != 0);
    }

    /// <inheritdoc/>
    public void ReadConfig(ulong offset, Span<byte> data) => _config.Read(offset, data, _writeBack);

    /// <inheritdoc/>
    public void WriteConfig(ulong offset, ReadOnlySpan<byte> data)
    {
        if ((_features & BlkFeatures.ConfigWriteCache) != 0 && BlkConfig.TryPlace(offset, data.Length, out int at))
            SetWriteBack(data[at] != 0);
    }

    /// <inheritdoc/>
    public void Activate(VirtioActivation activation)
    {
        lock (_control)
        {
            _interrupt = activation.Interrupt;
            for (int i = 0; i < _queues.Length; i++) _queues[i].Attach(activation.Queues[i], activation);
            GoUnlessSuspended();
        }
    }

    /// <inheritdoc/>
    public bool Suspend(long limit = long.MaxValue)
    {
        lock (_control)
        {
            _suspended = true;
            return Stop(limit);
        }
    }

    /// <inheritdoc/>
    public void Resume()
    {
        lock (_control)
        {
            _suspended = false;
            GoUnlessSuspended();
        }
    }

    /// <inheritdoc/>
    public void Deactivate()
    {
        lock (_control)
        {
            Stop();
            _interrupt = null;
            foreach (BlkQueue queue in _queues) queue.Attach(null, null);
        }
    }

    /// <summary>
    /// Gives the device another disk, between two requests. Whether it offers to be read-only does not change. What
    /// waits in the queues is for the new disk, unless the old one answers at once: a write that a
    /// <see cref="SealedDisk"/> is to refuse must not be found by the disk that takes its place.
    /// </summary>
    /// <param name="backend">The disk from now on.</param>
    /// <param name="notify">
    /// Whether a driver is told by a configuration-change interrupt where the size is another.
    /// </param>
    /// <returns>The disk until now, unused from here on: a flush that is at work on it is waited for.</returns>
    public IBlockBackend SetBackend(IBlockBackend backend, bool notify)
    {
        lock (_control)
        {
            Stop();
            IBlockBackend old = _disk.Backend;
            if (old.AnswersAtOnce) foreach (BlkQueue queue in _queues) queue.AnswerPending();
            lock (_flushing) _disk.Backend = backend;
            if (backend.LengthBytes != old.LengthBytes)
            {
                _config = new BlkConfig(backend.LengthBytes, _queues.Length, _config.Generation + 1);
                if (notify) _interrupt?.ConfigChanged();
            }

            GoUnlessSuspended();
            return old;
        }
    }

    /// <summary>Ends the threads, after the requests they work on.</summary>
    public void Dispose()
    {
        Suspend();
        End();
    }

    /// <summary>Ends what there is: the constructor may have failed half-way.</summary>
    private void End()
    {
        _movers?.End();
        _flusher?.End();
        foreach (BlkQueue? queue in _queues) queue?.End();
    }

    private void SetWriteBack(bool on)
    {
        _writeBack = on;
        // Stable when answered (§5.2.6.2): with neither feature, or with the driver's word that it wants that.
        _disk.WriteThrough = (_features & BlkFeatures.ConfigWriteCache) != 0 ? !on : (_features & BlkFeatures.Flush) == 0;
    }

    /// <summary>The queues stop together: all finish what they have begun at the same time.</summary>
    private bool Stop(long limit = long.MaxValue)
    {
        foreach (BlkQueue queue in _queues) queue.BeginStop();
        foreach (BlkQueue queue in _queues) if (!queue.Stop(limit)) return false;
        return true;
    }

    private void GoUnlessSuspended()
    {
        if (_suspended) return;
        foreach (BlkQueue queue in _queues) queue.Go();
    }

    /// <summary>A worker's turn.</summary>
    private void Move(BlkRequest run, BlkScratch scratch)
    {
        if (!_disk.IsCrowdedFor(run) || TryMakeRoom(run)) run.Queue.Move(run, scratch);
    }

    /// <summary>
    /// Flushes while the run is only handed: a pause gives it back, instead of waiting for all that is dirty on the host.
    /// </summary>
    /// <returns>False if the run was given back meanwhile: it is gone.</returns>
    private bool TryMakeRoom(BlkRequest run)
    {
        lock (_flushing)
        {
            if (!run.Queue.IsWanted(run)) return false;
            // Of the workers that have seen it one does the work.
            if (_disk.IsCrowdedFor(run)) _disk.MakeRoom();
            return true;
        }
    }

    /// <summary>The flusher's turn.</summary>
    /// <param name="waiting">All that waits, linked by NextWaiting.</param>
    private void Flush(BlkRequest waiting)
    {
        lock (_flushing)
        {
            BlkRequest? wanted = null;
            for (BlkRequest? run = waiting; run is not null;)
            {
                BlkRequest? next = run.NextWaiting;
                if (run.Queue.IsWanted(run))
                {
                    run.NextWaiting = wanted;
                    wanted = run;
                }

                run = next;
            }

            if (wanted is null) return;
            _disk.Flush(wanted);
            for (BlkRequest? run = wanted; run is not null;)
            {
                BlkRequest? next = run.NextWaiting;
                run.Queue.Flushed(run);
                run = next;
            }
        }
    }
}
