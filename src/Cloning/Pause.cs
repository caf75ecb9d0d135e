using System.Diagnostics;
using Vmm.Machines;

namespace Cloning;

/// <summary>A stretch of time in which the instance's guest did not run: downtime, as data.</summary>
internal sealed class Pause
{
    private readonly long _begin;
    private Machine? _next;

    private Pause(long begin) => _begin = begin;

    /// <summary>Begins now: call it right before the vCPUs are asked to stop.</summary>
    public static Pause Begin() => new(Stopwatch.GetTimestamp());

    /// <summary>Says which machine ends it, by entering the guest.</summary>
    public Pause EndsWith(Machine next)
    {
        _next = next;
        return this;
    }

    /// <summary>Its length in microseconds: until the last vCPU of the next machine had entered the guest.</summary>
    public long Micros
    {
        get
        {
            // Asked for long after the fact; a vCPU thread that the host has not yet scheduled is waited for.
            while (_next!.RunningSince == 0) Thread.Yield();
            return (long)Stopwatch.GetElapsedTime(_begin, _next.RunningSince).TotalMicroseconds;
        }
    }
}
