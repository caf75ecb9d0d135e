using System.Runtime.InteropServices;

namespace Kvm.Interop;

/// <summary>C <c>struct kvm_xcrs</c> (linux/kvm.h): extended control registers.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct KvmXcrs
{
    /// <summary>How many of <see cref="Xcrs"/> are used.</summary>
    public uint Count;
    /// <summary>Must be zero.</summary>
    public uint Flags;
    /// <summary>The registers.</summary>
    public KvmXcrArray16 Xcrs;
    /// <summary>Unused.</summary>
    public UInt64Array16 Padding;
}
