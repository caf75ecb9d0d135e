using System.Runtime.InteropServices;

namespace Kvm.Interop;

/// <summary>C <c>struct kvm_vcpu_events</c> (linux/kvm.h): pending exceptions, interrupts, NMI and SMI.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct KvmVcpuEvents
{
    /// <summary>Exception delivery state.</summary>
    public byte ExceptionInjected;
    /// <summary>Exception delivery state.</summary>
    public byte ExceptionNumber;
    /// <summary>Exception delivery state.</summary>
    public byte ExceptionHasErrorCode;
    /// <summary>Exception delivery state.</summary>
    public byte ExceptionPending;
    /// <summary>Its error code.</summary>
    public uint ExceptionErrorCode;
    /// <summary>Interrupt delivery state.</summary>
    public byte InterruptInjected;
    /// <summary>Interrupt delivery state.</summary>
    public byte InterruptNumber;
    /// <summary>Interrupt delivery state.</summary>
    public byte InterruptSoft;
    /// <summary>Interrupt delivery state.</summary>
    public byte InterruptShadow;
    /// <summary>NMI delivery state.</summary>
    public byte NmiInjected;
    /// <summary>NMI delivery state.</summary>
    public byte NmiPending;
    /// <summary>NMI delivery state.</summary>
    public byte NmiMasked;
    /// <summary>NMI delivery state.</summary>
    public byte NmiPadding;
    /// <summary>Unused by GET.</summary>
    public uint SipiVector;
    /// <summary>KVM_VCPUEVENT_VALID_*: which parts SET takes.</summary>
    public uint Flags;
    /// <summary>System-management state.</summary>
    public byte SmiSmm;
    /// <summary>System-management state.</summary>
    public byte SmiPending;
    /// <summary>System-management state.</summary>
    public byte SmiSmmInsideNmi;
    /// <summary>System-management state.</summary>
    public byte SmiLatchedInit;
    /// <summary>A triple fault is pending.</summary>
    public byte TripleFaultPending;
    /// <summary>Unused.</summary>
    public Byte26 Reserved;
    /// <summary>Whether the payload is valid.</summary>
    public byte ExceptionHasPayload;
    /// <summary>CR2 or DR6 of a pending exception.</summary>
    public ulong ExceptionPayload;
}
