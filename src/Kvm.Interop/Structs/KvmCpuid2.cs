using System.Runtime.InteropServices;

namespace Kvm.Interop;

/// <summary>C <c>struct kvm_cpuid2</c> (linux/kvm.h): header of an array of <see cref="KvmCpuidEntry2"/>.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct KvmCpuid2
{
    /// <summary>Number of entries.</summary>
    public uint Count;
    /// <summary>Unused.</summary>
    public uint Padding;
}
