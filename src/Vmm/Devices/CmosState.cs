namespace Vmm.Devices;

/// <summary>All of a <see cref="Cmos"/>, at rest.</summary>
public readonly record struct CmosState
{
    /// <summary>The index register: which byte the data port shows, and bit 7, which would mask NMIs.</summary>
    public byte Index { get; init; }
    /// <summary>The 128 bytes. Time registers count only while register B's SET bit holds the clock still.</summary>
    public byte[] Memory { get; init; }
    /// <summary>How far the guest has set its clock ahead of the host's, in ticks of 100 ns.</summary>
    public long OffsetTicks { get; init; }
}
