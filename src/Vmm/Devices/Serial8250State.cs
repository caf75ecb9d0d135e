namespace Vmm.Devices;

/// <summary>All of a <see cref="Serial8250"/>, at rest; as constructed, what it is after a reset.</summary>
public readonly record struct Serial8250State
{
    /// <summary>A port as it is after a reset.</summary>
    public Serial8250State() { }

    /// <summary>The divisor after a reset: 9600 baud. The chip itself leaves it undefined.</summary>
    internal const ushort ResetDivisor = 12;

    /// <summary>Interrupt enable register.</summary>
    public byte InterruptEnable { get; init; }
    /// <summary>FIFO control register, as last written without its self-clearing bits.</summary>
    public byte FifoControl { get; init; }
    /// <summary>Line control register.</summary>
    public byte LineControl { get; init; }
    /// <summary>Modem control register.</summary>
    public byte ModemControl { get; init; }
    /// <summary>Delta bits of the modem status register.</summary>
    public byte ModemDelta { get; init; }
    /// <summary>Scratch register.</summary>
    public byte Scratch { get; init; }
    /// <summary>Divisor latch.</summary>
    public ushort Divisor { get; init; } = ResetDivisor;
    /// <summary>Whether the transmitter-empty interrupt is pending.</summary>
    public bool TransmitPending { get; init; }
    /// <summary>Line status bits that reading clears.</summary>
    public byte LineErrors { get; init; }
    /// <summary>Bytes received and not read: the receive FIFO's, then those waiting behind it.</summary>
    public byte[] Received { get; init; } = [];
    /// <summary>Which of <see cref="Received"/> stand for a break, by index, ascending.</summary>
    public int[] Breaks { get; init; } = [];
    /// <summary>How many of <see cref="Received"/> are in the receive FIFO.</summary>
    public int FifoCount { get; init; }
}
