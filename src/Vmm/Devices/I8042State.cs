namespace Vmm.Devices;

/// <summary>All of an <see cref="I8042"/>, at rest.</summary>
public readonly record struct I8042State
{
    /// <summary>Whether a byte waits at the data port.</summary>
    public bool OutputFull { get; init; }
    /// <summary>The byte that waits.</summary>
    public byte Output { get; init; }
    /// <summary>Whether the next byte to the data port goes to the output port, after command 0xD1.</summary>
    public bool OutputPortNext { get; init; }
}
