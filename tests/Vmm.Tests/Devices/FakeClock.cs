namespace Vmm.Tests.Devices;

/// <summary>A host clock that stands where it is put, and its timers with it.</summary>
internal sealed class FakeClock : TimeProvider
{
    private readonly List<Timer> _timers = [];

    public FakeClock() : this(DateTimeOffset.UnixEpoch) { }

    public FakeClock(DateTimeOffset now) => Now = now;

    public DateTimeOffset Now { get; set; }

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    public override DateTimeOffset GetUtcNow() => Now;

    public override long GetTimestamp() => Now.Ticks;

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        Timer timer = new(this, () => callback(state));
        timer.Change(dueTime, period);
        _timers.Add(timer);
        return timer;
    }

    /// <summary>Lets time pass, and fires what is due after it.</summary>
    public void Advance(TimeSpan time)
    {
        Now += time;
        foreach (Timer timer in _timers) timer.FireIfDue();
    }

    private sealed class Timer(FakeClock clock, Action callback) : ITimer
    {
        private DateTimeOffset? _due;

        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            _due = dueTime == Timeout.InfiniteTimeSpan ? null : clock.Now + dueTime;
            return true;
        }

        public void FireIfDue()
        {
            if (_due is null || _due > clock.Now) return;
            _due = null;
            callback();
        }

        public void Dispose() => _due = null;

        public ValueTask DisposeAsync()
        {
            Dispose();
            return ValueTask.CompletedTask;
        }
    }
}
