using System.Diagnostics;
using Kvm.Interop;
using VirtioBlk.Turns;
using Vmm.Machines;

namespace Cloning.Isolation;

/// <summary>
/// Keeps a shadow from filling the memory bus, which no weight of the kernel's shares out. Its own harm is what it goes by: where memory
/// answers much more slowly while its vCPUs run than while they stand still, and the instance is at work, they rest
/// (<see cref="Backoff"/>). They always run a while between two rests.
/// </summary>
/// <remarks>
/// MS Manners would go by the background's own progress, but whoever streams through memory does not feel those whom it slows down.
/// Comparing with oneself standing still needs no idea of what is usual on this host. It does need a processor to look from: what was
/// measured while the vCPUs had to make room for it does not count.
/// </remarks>
internal sealed class MemoryRegulator : IDisposable
{
    /// <summary>How long the vCPUs run between two looks, while they are in nobody's way.</summary>
    public static readonly TimeSpan Calm = TimeSpan.FromMilliseconds(250);

    /// <summary>How much more slowly memory has to answer, in times, for that to be harm.</summary>
    public const double Harm = 1.5;

    /// <summary>The share of one processor that the instance has to use to count as at work.</summary>
    public const double AtWork = 0.1;

    private const double Together = 0.5; // processors that the load has to use during a measurement to count as running
    private const int Samples = 8, Attempts = 32;
    // Whoever wakes up is put on a processor that is free just then.
    private static readonly TimeSpan s_between = TimeSpan.FromMilliseconds(1);

    private readonly Func<bool> _applies, _stop;
    private readonly Action _go;
    private readonly Func<double> _measure;
    private readonly Func<TimeSpan> _instanceTime, _loadTime;
    private readonly ManualResetEvent _end = new(false);
    private readonly Backoff _backoff = new();
    private readonly Thread _thread;
    private long _lookedAt = Stopwatch.GetTimestamp();
    private TimeSpan _usedThen;

    /// <summary>Begins.</summary>
    /// <param name="applies">Whether anybody is to rest now.</param>
    /// <param name="stop">Makes the load stand still; false: it did not, and goes on.</param>
    /// <param name="go">Lets it go on.</param>
    /// <param name="measure">How long memory takes to answer.</param>
    /// <param name="instanceTime">The CPU time that the instance has used.</param>
    /// <param name="loadTime">The CPU time that the load has used.</param>
    internal MemoryRegulator(
        Func<bool> applies, Func<bool> stop, Action go, Func<double> measure, Func<TimeSpan> instanceTime, Func<TimeSpan> loadTime)
    {
        (_applies, _stop, _go, _measure, _instanceTime, _loadTime) = (applies, stop, go, measure, instanceTime, loadTime);
        _usedThen = instanceTime();
        _thread = new Thread(Regulate) { IsBackground = true, Name = "memory turns" };
        _thread.Start();
    }

    /// <summary>Regulates a shadow's machine until disposed. Nobody else may pause it before that.</summary>
    /// <param name="machine">Runs.</param>
    /// <param name="foreground">Tells whether the shadow is still to have only what is left over.</param>
    /// <returns>Null: with one processor CPU time shares memory out, too.</returns>
    public static MemoryRegulator? For(Machine machine, DiskActivity foreground)
    {
        if (Environment.ProcessorCount == 1) return null;
        int instance = Libc.getppid();
        MemoryProbe probe = new();
        return new MemoryRegulator(
            () => foreground.PreemptionInterval > TimeSpan.Zero, machine.TryRest, machine.EndRest, probe.Measure,
            () => Libc.CpuTimeOf(instance), machine.CpuTime)
        { Probe = probe };
    }

    /// <summary>Rests so far.</summary>
    internal int Rests { get; private set; }

    private MemoryProbe? Probe { get; init; }

    /// <summary>Ends it: the load goes on.</summary>
    public void Dispose()
    {
        _end.Set();
        _thread.Join();
        _end.Dispose();
        Probe?.Dispose();
    }

    private void Regulate()
    {
        try
        {
            bool harm = false;
            while (!_end.WaitOne(harm || _backoff.Rest > TimeSpan.Zero ? s_between : Calm)) harm = Look();
        }
        catch (LibcException)
        {
            // The instance is gone, or a vCPU's thread: there is nobody left to be considerate of, or to rest.
        }
    }

    /// <returns>Whether the load was seen to do harm.</returns>
    private bool Look()
    {
        if (!_applies() || !IsAtWork())
        {
            _backoff.Add(false);
            return false;
        }

        double? running = Running();
        if ((running is null && _backoff.Rest == TimeSpan.Zero) || !_stop()) return false;
        bool harm = running > Harm * Resting();
        if (running is not null) _backoff.Add(harm);
        if (_backoff.Rest > TimeSpan.Zero)
        {
            Rests++;
            _end.WaitOne(_backoff.Rest);
        }

        _go();
        return harm;
    }

    /// <returns>How long memory takes to answer while the load runs; null where that could not be seen.</returns>
    private double? Running()
    {
        List<double> nanos = [];
        for (int attempt = 0; attempt < Attempts && nanos.Count < Samples && !_end.WaitOne(s_between); attempt++)
        {
            (TimeSpan used, long start) = (_loadTime(), Stopwatch.GetTimestamp());
            double measured = _measure();
            if (_loadTime() - used > Together * Stopwatch.GetElapsedTime(start)) nanos.Add(measured);
        }

        return nanos.Count == Samples ? Median(nanos) : null;
    }

    private double Resting() => Median([.. Enumerable.Range(0, Samples).Select(_ => _measure())]);

    private static double Median(List<double> values) => values.Order().ElementAt(values.Count / 2);

    /// <summary>Whether the instance has used its processors since it was last looked at: whom could it harm otherwise.</summary>
    private bool IsAtWork()
    {
        TimeSpan used = _instanceTime();
        double share = (used - _usedThen) / Stopwatch.GetElapsedTime(_lookedAt);
        (_usedThen, _lookedAt) = (used, Stopwatch.GetTimestamp());
        return share > AtWork;
    }
}
