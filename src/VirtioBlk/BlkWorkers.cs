namespace VirtioBlk;

/// <summary>A few threads for what has to wait, in the order in which it comes.</summary>
/// <remarks>
/// The first thread is there from the start, the others are made when work comes and all are busy, and then stay. Its
/// lock is taken inside a queue's gate and never the other way round.
/// </remarks>
internal sealed class BlkWorkers
{
    private const int StackBytes = 256 * 1024;

    private readonly object _lock = new();
    private readonly string _name;
    private readonly Thread[] _threads;
    private readonly Action<BlkRequest, BlkScratch> _serve;
    private readonly bool _together;
    private BlkRequest? _first, _last;
    private int _started, _idle;
    private bool _ending;

    /// <summary>Makes them, with one thread parked.</summary>
    /// <param name="name">The threads' name, up to 15 characters.</param>
    /// <param name="most">Most threads.</param>
    /// <param name="together">Whether a thread takes all that waits (a list by NextWaiting) or one run at a time.</param>
    /// <param name="serve">Does it. Must not throw.</param>
    public BlkWorkers(string name, int most, bool together, Action<BlkRequest, BlkScratch> serve)
    {
        _name = name;
        _together = together;
        _serve = serve;
        _threads = new Thread[most];
        lock (_lock) StartThread();
    }

    /// <summary>Gives them a run.</summary>
    public void Add(BlkRequest run)
    {
        lock (_lock)
        {
            run.NextWaiting = null;
            if (_last is null) _first = run;
            else _last.NextWaiting = run;
            _last = run;
            if (_idle != 0)
            {
                // Counted here and not by the one that wakes, or the next run would count on it too.
                _idle--;
                Monitor.Pulse(_lock);
            }
            else if (_started < _threads.Length)
            {
                try
                {
                    StartThread();
                }
                catch (OutOfMemoryException)
                {
                    // The host's limit of threads. The first one has been there from the start, so the run has its turn.
                }
            }
        }
    }

    /// <summary>Takes all waiting runs of a queue out.</summary>
    /// <returns>They, linked by NextWaiting.</returns>
    public BlkRequest? Remove(BlkQueue queue)
    {
        lock (_lock)
        {
            BlkRequest? removed = null, run = _first;
            _first = _last = null;
            while (run is not null)
            {
                BlkRequest? next = run.NextWaiting;
                if (run.Queue == queue)
                {
                    run.NextWaiting = removed;
                    removed = run;
                }
                else
                {
                    run.NextWaiting = null;
                    if (_last is null) _first = run;
                    else _last.NextWaiting = run;
                    _last = run;
                }

                run = next;
            }

            return removed;
        }
    }

    /// <summary>Ends the threads, each after what it is doing.</summary>
    public void End()
    {
        lock (_lock)
        {
            _ending = true;
            Monitor.PulseAll(_lock);
        }

        for (int i = 0; i < _started; i++) _threads[i].Join();
    }

    private void StartThread()
    {
        _threads[_started] = new Thread(Work, StackBytes) { Name = _name, IsBackground = true };
        _threads[_started].Start();
        _started++;
    }

    private void Work()
    {
        BlkScratch scratch = new();
        while (Take() is { } runs) _serve(runs, scratch);
    }

    private BlkRequest? Take()
    {
        lock (_lock)
        {
            while (!_ending && _first is null)
            {
                _idle++;
                Monitor.Wait(_lock);
            }

            if (_ending) return null;
            BlkRequest runs = _first!;
            _first = _together ? null : runs.NextWaiting;
            if (_first is null) _last = null;
            if (!_together) runs.NextWaiting = null;
            return runs;
        }
    }
}
