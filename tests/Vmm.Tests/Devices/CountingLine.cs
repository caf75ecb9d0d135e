using Virtio;
using Xunit;

namespace Vmm.Tests.Devices;

/// <summary>An interrupt line that counts its edges.</summary>
internal sealed class CountingLine : IInterruptLine
{
    private readonly object _gate = new();
    private int _edges;

    public int Edges
    {
        get
        {
            lock (_gate) return _edges;
        }
    }

    public void Raise()
    {
        lock (_gate)
        {
            _edges++;
            Monitor.Pulse(_gate);
        }
    }

    /// <summary>Edges since the last call.</summary>
    public int Take()
    {
        lock (_gate)
        {
            int edges = _edges;
            _edges = 0;
            return edges;
        }
    }

    /// <summary>Waits for an edge and takes it.</summary>
    public void Wait()
    {
        lock (_gate)
        {
            while (_edges == 0) Assert.True(Monitor.Wait(_gate, TimeSpan.FromSeconds(30)), "No interrupt came");
            _edges = 0;
        }
    }
}
