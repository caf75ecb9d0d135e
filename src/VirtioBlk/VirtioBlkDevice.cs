using System.Text;
using Kvm.Interop;
using Virtio;

namespace VirtioBlk;

/// <summary>
/// A virtio block device (virtio 1.2 §5.2) with one request queue and one thread of its own that does all its I/O.
/// </summary>
/// <remarks>
/// The thread holds the gate while it works on a request, so stopping the device is taking the gate: free when idle,
/// and otherwise a wait for one request. The device does not own its backend.
/// </remarks>
public sealed class VirtioBlkDevice : IVirtioDevice, IDisposable
{
    private const int StackBytes = 256 * 1024;

    private readonly Lock _gate = new();
    private readonly EventFd _notification = EventFd.Create();
    private readonly DescriptorChain _chain = new(BlkConfig.QueueSize);
    private readonly byte[] _serial = new byte[BlkConfig.SerialBytes];
    private readonly Thread _thread;
    private volatile BlkConfig _config;
    private volatile bool _suspended, _ending;
    private volatile int _waiting; // how many want the gate: the thread leaves it to them between two requests

    // Under the gate.
    private IBlockBackend _backend;
    private VirtioActivation? _activation;
    private Virtqueue? _queue; // null also when broken
    private BlkRequestReader? _reader;
    private bool _writeThrough;

    // Written by the thread, read by anyone.
    private long _requests, _readBytes, _writtenBytes, _hostErrors, _refused;
    private volatile Exception? _lastHostError;
    private volatile int _inFlight;

    /// <summary>Makes a device, with its thread parked.</summary>
    /// <param name="backend">
    /// The disk. Where it is read-only the device says so to the driver, for as long as it lives.
    /// </param>
    /// <param name="serial">What GET_ID answers: up to 20 ASCII characters.</param>
    /// <param name="threadName">The thread's name, up to 15 characters.</param>
    /// <exception cref="LibcException">The process is out of descriptors.</exception>
    public VirtioBlkDevice(IBlockBackend backend, string serial, string threadName)
    {
        if (serial.Length > BlkConfig.SerialBytes || !Ascii.IsValid(serial))
            throw new ArgumentException("A disk's serial has up to 20 ASCII characters", nameof(serial));
        Encoding.ASCII.GetBytes(serial, _serial);
        _backend = backend;
        _config = new BlkConfig(backend.LengthBytes, 0);
        Features = BlkFeatures.SegmentMax | BlkFeatures.BlockSize | BlkFeatures.Flush
            | (backend.IsReadOnly ? BlkFeatures.ReadOnly : BlkFeatures.Discard | BlkFeatures.WriteZeroes);
        Notifications = [_notification];
        _thread = new Thread(Work, StackBytes) { Name = threadName, IsBackground = true };
        _thread.Start();
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

    /// <summary>What it has done so far. Any thread; the figures need not belong to exactly the same moment.</summary>
    public BlkCounters Counters => new(
        Volatile.Read(ref _requests), Volatile.Read(ref _readBytes), Volatile.Read(ref _writtenBytes),
        Volatile.Read(ref _hostErrors), Volatile.Read(ref _refused));

    /// <summary>Requests taken off the ring and not answered yet. Any thread.</summary>
    public int InFlight => _inFlight;

    /// <summary>Why the host last failed a request, or null.</summary>
    public Exception? LastHostError => _lastHostError;

    /// <inheritdoc/>
    public void ReadConfig(ulong offset, Span<byte> data) => _config.Read(offset, data);

    /// <inheritdoc/>
    public void WriteConfig(ulong offset, ReadOnlySpan<byte> data)
    {
        // Its only writable field, writeback, belongs to CONFIG_WCE, which is not offered.
    }

    /// <inheritdoc/>
    public void Activate(VirtioActivation activation)
    {
        using (Hold())
        {
            _activation = activation;
            _queue = activation.Queues[0];
            _reader = new BlkRequestReader(activation.Memory, BlkConfig.QueueSize);
            _writeThrough = (activation.Features & BlkFeatures.Flush) == 0; // §5.2.6.2: offered and not negotiated
        }
    }

    /// <inheritdoc/>
    public void Suspend()
    {
        _suspended = true;
        lock (_gate)
        {
            // The request that was at work is finished, and no other begins.
        }
    }

    /// <inheritdoc/>
    public void Resume()
    {
        _suspended = false;
        _notification.Signal();
    }

    /// <inheritdoc/>
    public void Deactivate()
    {
        using (Hold())
        {
            _activation = null;
            _queue = null;
            _reader = null;
        }
    }

    /// <summary>
    /// Gives the device another disk, between two requests. Whether it offers to be read-only does not change.
    /// </summary>
    /// <param name="backend">The disk from now on.</param>
    /// <param name="notify">
    /// Whether a driver is told by a configuration-change interrupt where the size is another.
    /// </param>
    /// <returns>The disk until now, unused from here on.</returns>
    public IBlockBackend SetBackend(IBlockBackend backend, bool notify)
    {
        using (Hold())
        {
            IBlockBackend old = _backend;
            _backend = backend;
            if (backend.LengthBytes == old.LengthBytes) return old;
            _config = new BlkConfig(backend.LengthBytes, _config.Generation + 1);
            if (notify) _activation?.Interrupt.ConfigChanged();
            return old;
        }
    }

    /// <summary>Ends the thread, after the request it works on.</summary>
    public void Dispose()
    {
        _ending = true;
        _notification.Signal();
        _thread.Join();
        _notification.Dispose();
    }

    private void Work()
    {
        while (!_ending)
        {
            // Waits. By whom and why it was signalled does not matter: the state decides what there is to do.
            _notification.TryDrain();
            while (ServeNext()) { }
        }
    }

    /// <summary>Serves one request.</summary>
    /// <returns>Whether there may be another, and nobody wants the gate.</returns>
    private bool ServeNext()
    {
        lock (_gate)
        {
            if (_ending || _suspended || _waiting != 0 || _queue is null) return false;
            _queue.Mute();
            switch (_queue.Pop(_chain))
            {
                case VirtqueuePop.Empty:
                    return _queue.Listen();
                case VirtqueuePop.Chain when _reader!.TryRead(_chain, _backend.LengthBytes, out BlkRequest request):
                    _inFlight = 1;
                    _queue.Push(_chain.Head, Serve(request));
                    _inFlight = 0;
                    if (_queue.MustNotify()) _activation!.Interrupt.UsedBuffer();
                    return true;
                default:
                    // An answer without a status byte might pass for success: better none.
                    _queue = null;
                    _activation!.Interrupt.NeedsReset();
                    return false;
            }
        }
    }

    /// <summary>Executes a request and writes its status.</summary>
    /// <returns>How many bytes were written from the start of its writable part.</returns>
    private unsafe uint Serve(in BlkRequest request)
    {
        BlkStatus status = request.Verdict;
        if (status == BlkStatus.Ok) status = Allows(request.Type);
        if (status != BlkStatus.Ok) Count(ref _refused, 1);
        else if (!TryExecute(request)) status = BlkStatus.IoError;
        Count(ref _requests, 1);

        bool filled = request.Type is BlkRequestType.In or BlkRequestType.GetId;
        if (filled) _activation!.Memory.MarkWritten(request.Data);
        IoVec statusByte = request.Status;
        // SAFETY: the reader resolved it to one byte of guest memory.
        *(byte*)statusByte.Base = (byte)status;
        _activation!.Memory.MarkWritten(new ReadOnlySpan<IoVec>(in statusByte));
        // The status byte counts only where everything before it was written (§2.7.8.2).
        return request.WritableBytes == 1 || (filled && status == BlkStatus.Ok) ? request.WritableBytes : 0;
    }

    private BlkStatus Allows(BlkRequestType type) => type switch
    {
        // A request whose feature was not negotiated does not exist for this driver.
        BlkRequestType.Discard when (_activation!.Features & BlkFeatures.Discard) == 0 => BlkStatus.Unsupported,
        BlkRequestType.WriteZeroes when (_activation!.Features & BlkFeatures.WriteZeroes) == 0 => BlkStatus.Unsupported,
        BlkRequestType.Out or BlkRequestType.Discard or BlkRequestType.WriteZeroes
            when _backend.IsReadOnly || (Features & BlkFeatures.ReadOnly) != 0 => BlkStatus.IoError,
        _ => BlkStatus.Ok,
    };

    /// <summary>
    /// Has the backend do it. Whatever it throws is the host's failure: the guest gets an I/O error, the machine lives.
    /// </summary>
    private bool TryExecute(in BlkRequest request)
    {
        try
        {
            Execute(request);
            return true;
        }
        catch (Exception e)
        {
            Count(ref _hostErrors, 1);
            _lastHostError = e;
            return false;
        }
    }

    private unsafe void Execute(in BlkRequest request)
    {
        switch (request.Type)
        {
            case BlkRequestType.In:
                if (request.DataLength == 0) break;
                _backend.Read(request.Data, request.Offset);
                Count(ref _readBytes, request.DataLength);
                break;
            case BlkRequestType.Out:
                if (request.DataLength == 0) break;
                _backend.Write(request.Data, request.Offset);
                if (_writeThrough) _backend.Flush();
                Count(ref _writtenBytes, request.DataLength);
                break;
            case BlkRequestType.Flush:
                _backend.Flush();
                break;
            case BlkRequestType.GetId:
                ReadOnlySpan<byte> serial = _serial;
                foreach (IoVec vector in request.Data)
                {
                    // SAFETY: resolved by the reader; together the vectors are as long as the serial.
                    serial[..(int)vector.Length].CopyTo(new Span<byte>((void*)vector.Base, (int)vector.Length));
                    serial = serial[(int)vector.Length..];
                }

                break;
            case BlkRequestType.Discard:
                foreach (BlkRange range in request.Ranges)
                    if (range.Length != 0) _backend.Discard(range.Offset, range.Length);
                break;
            case BlkRequestType.WriteZeroes:
                foreach (BlkRange range in request.Ranges)
                    if (range.Length != 0) _backend.WriteZeroes(range.Offset, range.Length, range.Unmap);
                if (_writeThrough) _backend.Flush();
                break;
        }
    }

    /// <summary>Adds to a counter that only this thread writes.</summary>
    private static void Count(ref long counter, long by) => Volatile.Write(ref counter, counter + by);

    private HeldGate Hold()
    {
        Interlocked.Increment(ref _waiting);
        _gate.Enter();
        return new HeldGate(this);
    }

    /// <summary>The gate, held by somebody other than the thread, which looks at everything anew afterwards.</summary>
    private readonly ref struct HeldGate(VirtioBlkDevice device)
    {
        public void Dispose()
        {
            device._gate.Exit();
            Interlocked.Decrement(ref device._waiting);
            device._notification.Signal();
        }
    }
}
