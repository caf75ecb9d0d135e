using Virtio;

namespace Vmm.Tests.Devices;

/// <summary>An interrupt line that counts its edges.</summary>
internal sealed class CountingLine : IInterruptLine
{
    private int _edges;

    public int Edges => Volatile.Read(ref _edges);

    public void Raise() => Interlocked.Increment(ref _edges);

    /// <summary>Edges since the last call.</summary>
    public int Take() => Interlocked.Exchange(ref _edges, 0);
}
