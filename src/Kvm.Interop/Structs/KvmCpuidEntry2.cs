using System.Runtime.InteropServices;

namespace Kvm.Interop;

/// <summary>C <c>struct kvm_cpuid_entry2</c> (linux/kvm.h): one CPUID leaf.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct KvmCpuidEntry2
{
    /// <summary>EAX on entry.</summary>
    public uint Function;
    /// <summary>ECX on entry, where it matters.</summary>
    public uint Index;
    /// <summary>1: the index matters.</summary>
    public uint Flags;
    /// <summary>The answer.</summary>
    public uint Eax;
    /// <summary>The answer.</summary>
    public uint Ebx;
    /// <summary>The answer.</summary>
    public uint Ecx;
    /// <summary>The answer.</summary>
    public uint Edx;
    /// <summary>Unused.</summary>
    public UInt32Array3 Padding;
}
