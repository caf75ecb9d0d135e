using System.Runtime.InteropServices;

namespace Kvm.Interop;

/// <summary>C <c>struct kvm_msr_list</c> (linux/kvm.h): header of an array of MSR indices (uint).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct KvmMsrList
{
    /// <summary>Number of indices.</summary>
    public uint Count;
}
