using System.Diagnostics;
using Vmm.Machines;

namespace Cloning;

/// <summary>
/// A stretch of time in which the instance's guest did not run: downtime, as data. Made before it begins; what happens
/// during it is only noted, and asked for afterwards.
/// </summary>
internal sealed class Pause
{
    private long _begun, _stopped, _saved, _ready, _released, _allocated;
    private Machine? _next;

    /// <summary>Begins now: call it right before the vCPUs are asked to stop.</summary>
    public void Begin()
    {
        _allocated = GC.GetAllocatedBytesForCurrentThread();
        _begun = Stopwatch.GetTimestamp();
    }

    /// <summary>The old machine has come to rest.</summary>
    public void Stopped() => _saved = _stopped = Stopwatch.GetTimestamp();

    /// <summary>The old machine's state is saved. A switch does not need it.</summary>
    public void Saved() => _saved = Stopwatch.GetTimestamp();

    /// <summary>The next machine has everything it needs in order to run.</summary>
    public void Ready() => _ready = Stopwatch.GetTimestamp();

    /// <summary>The next machine has been let go: it ends the pause by entering the guest.</summary>
    public void EndsWith(Machine next)
    {
        _released = Stopwatch.GetTimestamp();
        _allocated = GC.GetAllocatedBytesForCurrentThread() - _allocated;
        _next = next;
    }

    /// <summary>Its length in microseconds: until the last vCPU of the next machine had entered the guest.</summary>
    public long Micros => (long)Stopwatch.GetElapsedTime(_begun, End).TotalMicroseconds;

    /// <summary>Its parts in microseconds: stop the vCPUs and disks, save, load or commit, let go, and until the guest is entered.</summary>
    public PauseParts Parts
    {
        get
        {
            long end = End, released = Math.Min(_released, end); // a vCPU may be faster than who lets it go
            return new PauseParts(
                Span(_begun, _stopped), Span(_stopped, _saved), Span(_saved, _ready), Span(_ready, released), Span(released, end));
        }
    }

    /// <summary>What the pausing thread has put on the managed heap meanwhile.</summary>
    public long AllocatedBytes => _allocated;

    private long End
    {
        get
        {
            // Asked for long after the fact; a vCPU thread that the host has not yet scheduled is waited for. A guest that ends at once
            // keeps those out that have not entered it yet.
            while (_next!.RunningSince == 0 && !_next.Exited.IsCompleted) Thread.Yield();
            return _next.RunningSince is var since and not 0 ? since : _released;
        }
    }

    private static long Span(long from, long to) => (long)Stopwatch.GetElapsedTime(from, to).TotalMicroseconds;
}
