namespace TestKit.Guests.Torture;

/// <summary>What a vCPU of the <see cref="TortureGuest"/> tells its host: 64-bit words of its block in guest memory, by offset.</summary>
public enum TortureField : uint
{
    /// <summary>Which check failed first (<see cref="TortureError"/>), or 0.</summary>
    Error = 0x00,
    /// <summary>What that check saw.</summary>
    Got = 0x08,
    /// <summary>How often it has been through everything.</summary>
    Rounds = 0x10,
    /// <summary>The TSC when it last looked.</summary>
    Tsc = 0x18,
    /// <summary>kvmclock when it last looked, ns.</summary>
    Clock = 0x20,
    /// <summary>Local APIC timer: how often armed.</summary>
    TimerArmed = 0x28,
    /// <summary>Local APIC timer: how often it has fired.</summary>
    TimerFired = 0x30,
    /// <summary>Interrupts sent to the other vCPU.</summary>
    IpiSent = 0x38,
    /// <summary>Interrupts got from the other vCPU.</summary>
    IpiGot = 0x40,
    /// <summary>NMIs sent to itself.</summary>
    NmiSent = 0x48,
    /// <summary>NMIs got.</summary>
    NmiGot = 0x50,
    /// <summary>Bytes sent through the serial port.</summary>
    TxSent = 0x58,
    /// <summary>Transmitter-empty interrupts got.</summary>
    TxGot = 0x60,
    /// <summary>Bytes received from the serial port.</summary>
    RxGot = 0x68,
    /// <summary>Presses of the power button seen.</summary>
    PowerGot = 0x70,
    /// <summary>Interrupts of the 8254.</summary>
    PitTicks = 0x78,
    /// <summary>Sectors written, read back and compared.</summary>
    DiskDone = 0x80,
    /// <summary>Used-buffer interrupts.</summary>
    DiskInterrupts = 0x88,
    /// <summary>Device interrupts whose device had nothing to say.</summary>
    Spurious = 0x90,
    /// <summary>How often it has slept in HLT until the timer.</summary>
    Halts = 0x98,
    /// <summary>Whether the disk's interrupt has come since the used ring was last looked at.</summary>
    DiskPending = 0xA0,
    /// <summary>Next entry of the used ring.</summary>
    UsedSeen = 0xA8,
    /// <summary>Next entry of the available ring.</summary>
    AvailIndex = 0xB0,
    /// <summary>State of each disk slot; 4 words.</summary>
    SlotState = 0x100,
    /// <summary>Sequence number of each disk slot; 4 words.</summary>
    SlotSequence = 0x140,
    /// <summary>What the general registers should hold; 14 words.</summary>
    Registers = 0x200,
    /// <summary>Where vector registers are stored to be compared; 1 KiB.</summary>
    Scratch = 0x400,
}
