namespace VirtioBlk.Tests;

/// <summary>
/// An event between threads. Waiting for one that does not come fails the test instead of hanging it.
/// </summary>
internal sealed class Signal
{
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(20);
    private readonly object _changed = new();
    private bool _set;

    public void Set()
    {
        lock (_changed)
        {
            _set = true;
            Monitor.PulseAll(_changed);
        }
    }

    public void Wait()
    {
        if (!ComesWithin(s_limit)) throw new TimeoutException("The other thread hangs");
    }

    public bool ComesWithin(TimeSpan time)
    {
        lock (_changed) return _set || Monitor.Wait(_changed, time) || _set;
    }
}
