namespace Kvm.Interop;

/// <summary>KVM_EXIT_*: why KVM_RUN returned (api.rst §5).</summary>
public enum KvmExit
{
    /// <summary>Unknown hardware exit.</summary>
    Unknown = 0,
    /// <summary>Guest exception (debugging only).</summary>
    Exception = 1,
    /// <summary>Port access: <see cref="KvmRun.Io"/>.</summary>
    Io = 2,
    /// <summary>Debug event.</summary>
    Debug = 4,
    /// <summary>HLT without an in-kernel irqchip.</summary>
    Hlt = 5,
    /// <summary>Memory access: <see cref="KvmRun.Mmio"/>.</summary>
    Mmio = 6,
    /// <summary>The guest can take an interrupt.</summary>
    IrqWindowOpen = 7,
    /// <summary>Triple fault.</summary>
    Shutdown = 8,
    /// <summary>The hardware refused to enter the guest.</summary>
    FailEntry = 9,
    /// <summary>A signal is pending.</summary>
    Intr = 10,
    /// <summary>KVM could not go on, for example could not emulate an instruction.</summary>
    InternalError = 17,
    /// <summary>Guest-wide event: 1 shutdown, 2 reset, 3 crash.</summary>
    SystemEvent = 24,
}
