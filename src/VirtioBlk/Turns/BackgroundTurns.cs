namespace VirtioBlk.Turns;

/// <summary>
/// Turns of who is to use the host's disks only while the foreground does not (Idletime scheduling, Eggert and Touch 2005). A
/// foreground that never rests does not stop it: every <see cref="Patience"/> one turn comes all the same.
/// </summary>
/// <param name="foreground">Who comes first.</param>
/// <param name="interval">The preemption interval; null for what the foreground says (<see cref="DiskActivity.PreemptionInterval"/>).</param>
public sealed class BackgroundTurns(DiskActivity foreground, TimeSpan? interval = null) : IDiskTurns, IDisposable
{
    /// <summary>The preemption interval of work that can wait. A disk without moving parts has no seek that a longer one would save.</summary>
    public static readonly TimeSpan IdleInterval = TimeSpan.FromMilliseconds(5);

    /// <summary>The longest that one turn is waited for.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(25);

    // The foreground tells nobody when it comes to rest, since that would cost it a system call: so it is looked at.
    private static readonly TimeSpan s_look = TimeSpan.FromMilliseconds(1);

    private readonly SemaphoreSlim _next = new(1, 1);
    private readonly CancellationTokenSource _released = new();

    /// <inheritdoc/>
    public bool TryEnter() => _released.IsCancellationRequested || !foreground.IsBusy(interval ?? foreground.PreemptionInterval);

    /// <inheritdoc/>
    public void Enter() => Wait(CancellationToken.None);

    /// <inheritdoc/>
    public void Leave()
    {
    }

    /// <summary>Waits for a turn that nobody needs to be told the end of.</summary>
    /// <param name="stop">Ends the waiting.</param>
    public void Wait(CancellationToken stop)
    {
        if (TryEnter()) return;
        using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(stop, _released.Token);
        try
        {
            // One waits, the others wait for that one: or a whole queue of them would lose patience at the same moment.
            _next.Wait(either.Token);
            try
            {
                long end = Environment.TickCount64 + (long)Patience.TotalMilliseconds;
                while (!TryEnter() && Environment.TickCount64 < end && !either.Token.WaitHandle.WaitOne(s_look))
                {
                }
            }
            finally
            {
                _next.Release();
            }
        }
        catch (OperationCanceledException)
        {
            // Whoever stops it, or has released it, wants it to go on.
        }
    }

    /// <summary>From now on nobody waits: somebody waits for them.</summary>
    public void Release() => _released.Cancel();

    /// <summary>Nobody waits any more, and nobody will.</summary>
    public void Dispose()
    {
        _next.Dispose();
        _released.Dispose();
    }
}
