namespace Kvm.Interop;

/// <summary>KVM_CAP_* numbers for KVM_CHECK_EXTENSION (linux/kvm.h).</summary>
public enum KvmCap
{
    /// <summary>In-kernel interrupt controllers.</summary>
    Irqchip = 0,
    /// <summary>Memory slots.</summary>
    UserMemory = 3,
    /// <summary>Task-state segment address can be set.</summary>
    SetTssAddr = 4,
    /// <summary>KVM_SET_CPUID2.</summary>
    ExtCpuid = 7,
    /// <summary>Recommended number of vCPUs.</summary>
    NrVcpus = 9,
    /// <summary>Number of memory slots.</summary>
    NrMemslots = 10,
    /// <summary>KVM_GET/SET_MP_STATE.</summary>
    MpState = 14,
    /// <summary>Slot deletion works.</summary>
    DestroyMemoryRegionWorks = 21,
    /// <summary>irqfd.</summary>
    Irqfd = 32,
    /// <summary>In-kernel 8254.</summary>
    Pit2 = 33,
    /// <summary>ioeventfd.</summary>
    Ioeventfd = 36,
    /// <summary>The identity-map page can be placed.</summary>
    SetIdentityMapAddr = 37,
    /// <summary>KVM_GET/SET_CLOCK.</summary>
    AdjustClock = 39,
    /// <summary>KVM_GET/SET_VCPU_EVENTS.</summary>
    VcpuEvents = 41,
    /// <summary>KVM_GET/SET_DEBUGREGS.</summary>
    Debugregs = 50,
    /// <summary>KVM_GET/SET_XSAVE.</summary>
    Xsave = 55,
    /// <summary>KVM_GET/SET_XCRS.</summary>
    Xcrs = 56,
    /// <summary>KVM_KVMCLOCK_CTRL.</summary>
    KvmclockCtrl = 76,
    /// <summary>Largest number of vCPUs.</summary>
    MaxVcpus = 66,
    /// <summary>kvm_run.immediate_exit.</summary>
    ImmediateExit = 136,
    /// <summary>Pending exceptions are told apart from injected ones, with what they will put into CR2 or DR6.</summary>
    ExceptionPayload = 164,
    /// <summary>KVM_GET/SET_SREGS2.</summary>
    Sregs2 = 200,
    /// <summary>KVM_GET_XSAVE2; the value is the size needed.</summary>
    Xsave2 = 208,
    /// <summary>The LAPIC timer has TSC-deadline mode.</summary>
    TscDeadlineTimer = 72,
    /// <summary>A pending triple fault is among the vCPU's events.</summary>
    X86TripleFaultEvent = 218,
    /// <summary>Device attributes of vCPUs (TSC offset).</summary>
    VcpuAttributes = 127,
}
