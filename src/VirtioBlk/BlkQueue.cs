using CowMemory;
using Kvm.Interop;
using Virtio;

namespace VirtioBlk;

/// <summary>
/// One request queue and the thread that serves it: what takes no waiting at once, the rest by giving it to the device's
/// workers, which answer it here.
/// </summary>
/// <remarks>
/// The gate covers the ring and the books, never I/O. A run is <em>moving</em> while somebody does it; one that waits
/// for a worker, or for a flush, is <em>handed</em>. Stopping waits for what moves and gives the heads of what is handed
/// back to the ring: an answer would come too late, and who goes on with the ring, here or in another machine, executes
/// it anew. A worker that comes back with such a run finds it abandoned and drops it.
/// </remarks>
internal sealed class BlkQueue
{
    private const int StackBytes = 256 * 1024;
    private const int BatchSize = 32;
    private const long NotifyBytes = 128 << 10; // a driver waits no longer for the first answer than this takes

    private readonly object _gate = new();
    private readonly BlkDisk _disk;
    private readonly BlkWorkers _movers, _flusher;
    private readonly DescriptorChain _chain = new(BlkConfig.QueueSize);
    private readonly List<BlkRequest> _requests = []; // all there are
    private readonly Stack<BlkRequest> _free = new();
    private readonly BlkRequest[] _batch = new BlkRequest[BatchSize]; // the thread's own
    private readonly BlkScratch _scratch = new();
    private readonly Thread _thread;
    private volatile bool _stopped = true, _ending;

    // Under the gate.
    private Virtqueue? _ring;
    private bool _broken; // nothing more is taken from the ring
    private BlkRequestReader? _reader;
    private IVirtioInterrupt? _interrupt;
    private GuestMemory? _memory;
    private int _moving, _handed;
    private BlkCounters _counters;

    /// <summary>Makes a queue, stopped, with its thread parked.</summary>
    /// <param name="disk">Does what requests ask.</param>
    /// <param name="movers">For what has to wait and moves data.</param>
    /// <param name="flusher">For flushes.</param>
    /// <param name="threadName">The thread's name, up to 15 characters.</param>
    public BlkQueue(BlkDisk disk, BlkWorkers movers, BlkWorkers flusher, string threadName)
    {
        _disk = disk;
        _movers = movers;
        _flusher = flusher;
        _thread = new Thread(Work, StackBytes) { Name = threadName, IsBackground = true };
        try
        {
            _thread.Start();
        }
        catch
        {
            Notification.Dispose();
            throw;
        }
    }

    /// <summary>What the driver's notification signals and the thread waits for.</summary>
    public EventFd Notification { get; } = EventFd.Create();

    /// <summary>What it has done so far.</summary>
    public BlkCounters Counters
    {
        get
        {
            lock (_gate) return _counters;
        }
    }

    /// <summary>Requests taken from the ring and not answered: they are done, wait for a worker, or for a flush.</summary>
    public int InFlight
    {
        get
        {
            lock (_gate) return _requests.Count - _free.Count;
        }
    }

    /// <summary>Takes a ring into use, or none. Only while stopped.</summary>
    public void Attach(Virtqueue? ring, VirtioActivation? activation)
    {
        lock (_gate)
        {
            _ring = ring;
            _broken = false;
            _interrupt = activation?.Interrupt;
            _reader = activation is null ? null : new BlkRequestReader(activation.Memory, activation.Features);
            _memory = activation?.Memory;
        }
    }

    /// <summary>Whether somebody waits for what moves.</summary>
    public bool IsStopping => _stopped;

    /// <summary>Begins nothing more; <see cref="Stop"/> follows.</summary>
    public void BeginStop() => _stopped = true;

    /// <summary>
    /// Begins nothing more and waits for what moves: afterwards neither memory nor disk is touched, and the ring's state
    /// is complete.
    /// </summary>
    /// <param name="limit">When to give up, in milliseconds of <see cref="Environment.TickCount64"/>.</param>
    /// <returns>False when the limit has come first: <see cref="Go"/> takes it back.</returns>
    public bool Stop(long limit)
    {
        lock (_gate)
        {
            _stopped = true;
            while (_moving != 0)
            {
                long left = limit - Environment.TickCount64;
                if (left <= 0) return false;
                Monitor.Wait(_gate, (int)Math.Min(left, int.MaxValue));
            }

            if (_handed == 0) return true;
            foreach (BlkRequest request in _requests)
            {
                if (!request.IsHanded) continue;
                _ring!.Return(request.Head);
                request.IsHanded = false;
                request.IsAbandoned = true;
            }

            _handed = 0;
            FreeAll(_movers.Remove(this));
            FreeAll(_flusher.Remove(this));
            return true;
        }
    }

    /// <summary>
    /// Answers all that was given back and all that is available. Only while stopped, and where the disk answers at once:
    /// memory is touched, under the gate.
    /// </summary>
    public void AnswerPending()
    {
        lock (_gate)
        {
            if (_ring is null) return;
            while (!_broken)
            {
                int count = TakeBatch();
                if (count == 0) break;
                foreach (BlkRequest request in _batch.AsSpan(0, count))
                {
                    _disk.TryDoNow(request, _scratch);
                    Answer(request);
                }
            }

            Notify();
        }
    }

    /// <summary>Goes on, looking at the ring once.</summary>
    public void Go()
    {
        _stopped = false;
        Notification.Signal();
    }

    /// <summary>Ends the thread. Only while stopped.</summary>
    public void End()
    {
        _ending = true;
        Notification.Signal();
        _thread.Join();
        Notification.Dispose();
    }

    /// <summary>A worker's turn with a run that moves data.</summary>
    public void Move(BlkRequest run, BlkScratch scratch)
    {
        lock (_gate)
        {
            if (!TryTakeBack(run)) return;
            if (_stopped)
            {
                GiveBack(run);
                return;
            }

            _moving++;
        }

        bool done = _disk.Do(run, scratch);
        lock (_gate)
        {
            if (done)
            {
                Settle(run);
                Notify();
            }
            else
            {
                GiveBack(run);
            }

            EndMove();
        }
    }

    /// <summary>Whether a handed run still waits for what is about to begin. If not, it is gone.</summary>
    public bool IsWanted(BlkRequest run)
    {
        lock (_gate)
        {
            if (!run.IsAbandoned) return true;
            Free(run);
            return false;
        }
    }

    /// <summary>The flush that a run waited for is over.</summary>
    public void Flushed(BlkRequest run)
    {
        lock (_gate)
        {
            if (!TryTakeBack(run)) return;
            Answer(run);
            Notify();
        }
    }

    private void Work()
    {
        while (!_ending)
        {
            // Waits. By whom and why it was signalled does not matter: the state decides what there is to do.
            Notification.TryDrain();
            while (ServeBatch()) { }
        }
    }

    /// <summary>Takes what is available and serves it.</summary>
    /// <returns>Whether there may be more.</returns>
    private bool ServeBatch()
    {
        Span<BlkRequest> batch;
        lock (_gate)
        {
            if (_ending || _stopped || _broken || _ring is null) return false;
            _ring.Mute();
            batch = _batch.AsSpan(0, TakeBatch());
            if (batch.IsEmpty) return !_broken && _ring.Listen();
            _moving++;
        }

        long bytes = 0;
        while (!batch.IsEmpty && !_stopped)
        {
            int count = BlkDisk.Join(batch);
            BlkRequest run = batch[0];
            batch = batch[count..];
            bool done = _disk.TryDoNow(run, _scratch);
            for (BlkRequest? request = run; request is not null; request = request.Follower) bytes += request.DataLength;
            lock (_gate)
            {
                if (done) Settle(run);
                else Hand(run, run.Type == BlkRequestType.Flush ? _flusher : _movers);
                if (bytes < NotifyBytes && !batch.IsEmpty) continue;
                Notify();
                bytes = 0;
            }
        }

        lock (_gate)
        {
            foreach (BlkRequest request in batch) GiveBack(request);
            Notify();
            EndMove();
        }

        return true;
    }

    /// <summary>Reads requests from the ring into the batch.</summary>
    private int TakeBatch()
    {
        int count = 0;
        while (count < BatchSize)
        {
            VirtqueuePop pop = _ring!.Pop(_chain);
            if (pop == VirtqueuePop.Empty) break;
            BlkRequest request = Allocate();
            if (pop == VirtqueuePop.Chain && _reader!.TryRead(_chain, _disk.Backend.LengthBytes, _disk.IsReadOnly, request))
            {
                _batch[count++] = request;
                continue;
            }

            // An answer without a status byte might pass for success: better none.
            Free(request);
            _broken = true;
            _interrupt!.NeedsReset();
            break;
        }

        return count;
    }

    private BlkRequest Allocate()
    {
        if (_free.TryPop(out BlkRequest? request)) return request;
        request = new BlkRequest(this);
        _requests.Add(request);
        return request;
    }

    /// <summary>Answers a run that was done, or hands it on to be flushed first.</summary>
    private void Settle(BlkRequest run)
    {
        if (_disk.NeedsFlush(run)) Hand(run, _flusher);
        else Answer(run);
    }

    private void Hand(BlkRequest run, BlkWorkers to)
    {
        for (BlkRequest? request = run; request is not null; request = request.Follower)
        {
            request.IsHanded = true;
            _handed++;
        }

        to.Add(run);
    }

    /// <summary>Takes a run from the workers' hands, unless it was given back meanwhile.</summary>
    private bool TryTakeBack(BlkRequest run)
    {
        if (run.IsAbandoned)
        {
            Free(run);
            return false;
        }

        for (BlkRequest? request = run; request is not null; request = request.Follower)
        {
            request.IsHanded = false;
            _handed--;
        }

        return true;
    }

    /// <summary>Leaves a run to whoever goes on with the ring.</summary>
    private void GiveBack(BlkRequest run)
    {
        for (BlkRequest? request = run; request is not null; request = request.Follower) _ring!.Return(request.Head);
        Free(run);
    }

    private void Answer(BlkRequest run)
    {
        for (BlkRequest? request = run; request is not null; request = request.Follower) Push(request);
        Free(run);
    }

    /// <summary>Writes a request's status and gives its chain back to the driver.</summary>
    private unsafe void Push(BlkRequest request)
    {
        bool ok = request.Status == BlkStatus.Ok;
        bool filled = request.Type is BlkRequestType.In or BlkRequestType.GetId;
        if (filled) _memory!.MarkWritten(request.Data);
        IoVec statusByte = request.StatusByte;
        // SAFETY: the reader resolved it to one byte of guest memory.
        *(byte*)statusByte.Base = (byte)request.Status;
        _memory!.MarkWritten(new ReadOnlySpan<IoVec>(in statusByte));
        // The status byte counts only where everything before it was written (§2.7.8.2).
        _ring!.Push(request.Head, request.WritableBytes == 1 || (filled && ok) ? request.WritableBytes : 0);
        _counters = _counters.With(request);
    }

    private void Notify()
    {
        if (_ring!.MustNotify()) _interrupt!.UsedBuffer();
    }

    private void EndMove()
    {
        if (--_moving == 0 && _stopped) Monitor.PulseAll(_gate);
    }

    private void FreeAll(BlkRequest? runs)
    {
        while (runs is not null)
        {
            BlkRequest? next = runs.NextWaiting;
            Free(runs);
            runs = next;
        }
    }

    private void Free(BlkRequest run)
    {
        for (BlkRequest? request = run; request is not null;)
        {
            BlkRequest? next = request.Follower;
            request.Follower = null;
            _free.Push(request);
            request = next;
        }
    }
}
