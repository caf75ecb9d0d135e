using System.Runtime.InteropServices;

namespace Kvm.Interop;

/// <summary>C <c>struct kvm_signal_mask</c> (linux/kvm.h), header: the signals that are blocked during KVM_RUN follow, a bit each.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct KvmSignalMask
{
    /// <summary>Length of the set, bytes: 8.</summary>
    public uint Length;
}
