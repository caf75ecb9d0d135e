using System.Runtime.InteropServices;

namespace Kvm.Interop;

/// <summary>C <c>struct kvm_msrs</c> (linux/kvm.h): header of an array of <see cref="KvmMsrEntry"/>.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct KvmMsrs
{
    /// <summary>Number of entries.</summary>
    public uint Count;
    /// <summary>Unused.</summary>
    public uint Padding;
}
