using System.Diagnostics;

namespace VirtioBlk.Turns;

/// <summary>
/// Turns of who is to use the host's disks only while the foreground does not (Idletime scheduling, Eggert and Touch 2005). A
/// foreground that never rests does not stop it: after some patience one turn comes all the same. A turn that the foreground ran into is
/// paid for with 200 times its length in patience, so that fewer than one in a hundred of the foreground's requests find one before
/// them. Where its own requests go slower than usual it rests as well (<see cref="ProgressRegulator"/>).
/// </summary>
/// <param name="foreground">Who comes first.</param>
/// <param name="interval">The preemption interval; null for what the foreground says (<see cref="DiskActivity.PreemptionInterval"/>).</param>
public sealed class BackgroundTurns(DiskActivity foreground, TimeSpan? interval = null) : IDiskTurns, IDisposable
{
    /// <summary>The preemption interval of work that can wait. A disk without moving parts has no seek that a longer one would save.</summary>
    public static readonly TimeSpan IdleInterval = TimeSpan.FromMilliseconds(5);

    /// <summary>How long a turn is waited for where the last one was in nobody's way, and the longest that one ever is.</summary>
    public static readonly TimeSpan LeastPatience = TimeSpan.FromMilliseconds(25), MostPatience = TimeSpan.FromSeconds(1);

    /// <summary>Patience after a turn that was in the foreground's way, in lengths of that turn.</summary>
    private const int Price = 200;

    // The foreground tells nobody when it comes to rest, since that would cost it a system call: so it is looked at.
    private static readonly TimeSpan s_look = TimeSpan.FromMilliseconds(1);

    private readonly ProgressRegulator _progress = new();
    private readonly SemaphoreSlim _next = new(1, 1);
    private readonly CancellationTokenSource _released = new();
    private long _restUntil;
    private long _patience = LeastPatience.Ticks;

    /// <summary>How long the next turn is waited for where the foreground never rests.</summary>
    internal TimeSpan Patience => new(Volatile.Read(ref _patience));

    private TimeSpan Interval => interval ?? foreground.PreemptionInterval;

    private bool MayGo => _released.IsCancellationRequested || !foreground.IsBusy(Interval);

    /// <summary>Its own progress counts only while it is to have nothing but what is left over.</summary>
    private bool IsRested => _released.IsCancellationRequested || Interval <= TimeSpan.Zero || Environment.TickCount64 >= Volatile.Read(ref _restUntil);

    /// <inheritdoc/>
    public bool TryEnter() => MayGo && IsRested;

    /// <inheritdoc/>
    public long Enter()
    {
        Wait();
        return Stopwatch.GetTimestamp();
    }

    /// <inheritdoc/>
    public void Leave()
    {
    }

    /// <inheritdoc/>
    public void Leave(long entered, int kind)
    {
        TimeSpan took = Stopwatch.GetElapsedTime(entered);
        bool inTheWay = Interval > TimeSpan.Zero && foreground.IsBusy(took);
        Volatile.Write(ref _patience, inTheWay ? Math.Clamp(took.Ticks * Price, LeastPatience.Ticks, MostPatience.Ticks) : LeastPatience.Ticks);
        _progress.Add(kind, took);
        BeginRest();
    }

    /// <summary>From now on nobody waits: somebody waits for them.</summary>
    public void Release() => _released.Cancel();

    /// <summary>Nobody waits any more, and nobody will.</summary>
    public void Dispose()
    {
        _next.Dispose();
        _released.Dispose();
    }

    private void Wait()
    {
        if (TryEnter()) return;
        try
        {
            // One waits, the others wait for that one: or a whole queue of them would lose patience at the same moment.
            _next.Wait(_released.Token);
            try
            {
                long start = Environment.TickCount64;
                while ((!IsRested || (!MayGo && Environment.TickCount64 - start < Patience.TotalMilliseconds)) && !_released.Token.WaitHandle.WaitOne(s_look))
                {
                }

                // Who waits next has lost no time yet: it rests again, so that one request goes through for each rest.
                BeginRest();
            }
            finally
            {
                _next.Release();
            }
        }
        catch (OperationCanceledException)
        {
            // Released while waiting for who waits.
        }
    }

    private void BeginRest()
    {
        if (_progress.Rest is { Ticks: > 0 } rest) Volatile.Write(ref _restUntil, Environment.TickCount64 + (long)rest.TotalMilliseconds);
    }
}
