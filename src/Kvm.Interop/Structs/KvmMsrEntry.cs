using System.Runtime.InteropServices;

namespace Kvm.Interop;

/// <summary>C <c>struct kvm_msr_entry</c> (linux/kvm.h): one model-specific register.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct KvmMsrEntry
{
    /// <summary>Which.</summary>
    public uint Index;
    /// <summary>Unused.</summary>
    public uint Reserved;
    /// <summary>Its value.</summary>
    public ulong Data;
}
