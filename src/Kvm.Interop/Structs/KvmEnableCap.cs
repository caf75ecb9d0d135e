using System.Runtime.InteropServices;

namespace Kvm.Interop;

/// <summary>C <c>struct kvm_enable_cap</c> (linux/kvm.h): turns on an optional capability.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct KvmEnableCap
{
    /// <summary>KVM_CAP_*.</summary>
    public uint Capability;
    /// <summary>Must be zero.</summary>
    public uint Flags;
    /// <summary>The capability's own.</summary>
    public UInt64Array4 Arguments;
    /// <summary>Unused.</summary>
    public Byte64 Padding;
}
