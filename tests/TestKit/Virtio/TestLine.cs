using Virtio;

namespace TestKit.Virtio;

/// <summary>An interrupt line that counts its edges and can be waited on.</summary>
public sealed class TestLine : IInterruptLine
{
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(20);
    private readonly object _changed = new();
    private long _edges;

    public long Edges
    {
        get
        {
            lock (_changed) return _edges;
        }
    }

    public void Raise()
    {
        lock (_changed)
        {
            _edges++;
            Monitor.PulseAll(_changed);
        }
    }

    /// <summary>Waits until there have been more edges than <paramref name="seen"/>.</summary>
    /// <returns>How many there have been.</returns>
    /// <exception cref="TimeoutException">The device hangs.</exception>
    public long Wait(long seen)
    {
        lock (_changed)
        {
            while (_edges <= seen)
                if (!Monitor.Wait(_changed, s_limit)) throw new TimeoutException($"No interrupt after {_edges}");
            return _edges;
        }
    }
}
