namespace TestKit.Guests.Torture;

/// <summary>The checks of the <see cref="TortureGuest"/>.</summary>
public enum TortureError : uint
{
    /// <summary>All is well.</summary>
    None,
    /// <summary>A general register.</summary>
    Register,
    /// <summary>A flag.</summary>
    Flags,
    /// <summary>A control register.</summary>
    ControlRegister,
    /// <summary>A debug register.</summary>
    DebugRegister,
    /// <summary>A model-specific register.</summary>
    Msr,
    /// <summary>GDTR, IDTR, LDTR or TR.</summary>
    DescriptorTable,
    /// <summary>A segment register.</summary>
    Segment,
    /// <summary>An XMM or YMM register, or the x87's.</summary>
    Vector,
    /// <summary>An entry of the IOAPIC.</summary>
    IoApic,
    /// <summary>A register of the local APIC.</summary>
    LocalApic,
    /// <summary>A byte of CMOS memory, read through its index register.</summary>
    Cmos,
    /// <summary>The mask of a PIC.</summary>
    Pic,
    /// <summary>The TSC went backwards.</summary>
    Tsc,
    /// <summary>kvmclock went backwards.</summary>
    Clock,
    /// <summary>One timer, two interrupts.</summary>
    TimerTwice,
    /// <summary>One inter-processor interrupt came twice.</summary>
    IpiTwice,
    /// <summary>One NMI came twice.</summary>
    NmiTwice,
    /// <summary>One byte sent, two transmitter-empty interrupts.</summary>
    TransmittedTwice,
    /// <summary>A received byte is not the next.</summary>
    Received,
    /// <summary>A disk request was answered that was not asked, or twice.</summary>
    DiskAnswer,
    /// <summary>A disk request failed.</summary>
    DiskStatus,
    /// <summary>A sector does not hold what was written to it.</summary>
    DiskData,
    /// <summary>An exception: this plus its vector.</summary>
    Exception = 0x100,
}
