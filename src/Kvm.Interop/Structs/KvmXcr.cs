using System.Runtime.InteropServices;

namespace Kvm.Interop;

/// <summary>C <c>struct kvm_xcr</c> (linux/kvm.h): one extended control register.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct KvmXcr
{
    /// <summary>0 for XCR0.</summary>
    public uint Number;
    /// <summary>Unused.</summary>
    public uint Reserved;
    /// <summary>Its value.</summary>
    public ulong Value;
}
