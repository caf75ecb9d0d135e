using System.Runtime.InteropServices;

namespace Kvm.Interop;

/// <summary>C <c>struct kvm_debugregs</c> (linux/kvm.h): debug registers.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct KvmDebugRegs
{
    /// <summary>DR0 to DR3.</summary>
    public UInt64Array4 Db;
    /// <summary>A debug register.</summary>
    public ulong Dr6;
    /// <summary>A debug register.</summary>
    public ulong Dr7;
    /// <summary>Must be zero.</summary>
    public ulong Flags;
    /// <summary>Unused.</summary>
    public UInt64Array9 Reserved;
}
