namespace TestKit.Guests;

/// <summary>
/// What a worker guest can be asked for. Each value is the byte that comes out of its port when it is done.
/// </summary>
public enum WorkerCommand : byte
{
    /// <summary>Nothing: it counts.</summary>
    None = 0,

    /// <summary>
    /// Writes <c>seed + address</c> into the first eight bytes of every page it covers. Result: pages written.
    /// </summary>
    Fill = (byte)'F',

    /// <summary>Result: how many pages do not hold what Fill with the same seed writes.</summary>
    Check = (byte)'C',

    /// <summary>Result: the counter.</summary>
    Report = (byte)'R',

    /// <summary>
    /// Writes to every page it covers, again and again, and counts each, until it is asked for <see cref="None"/>. Not answered.
    /// </summary>
    Touch = (byte)'T',

    /// <summary>Halts for good, interrupts off.</summary>
    Halt = (byte)'H',
}
