using System.Runtime.InteropServices;

namespace Kvm.Interop;

/// <summary>C <c>struct kvm_dtable</c> (linux/kvm.h): GDTR or IDTR.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct KvmDtable
{
    /// <summary>Linear base.</summary>
    public ulong Base;
    /// <summary>Limit in bytes.</summary>
    public ushort Limit;
    /// <summary>Unused.</summary>
    public Padding3UShort Padding;
}
