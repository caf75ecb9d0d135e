using System.Runtime.InteropServices;

namespace Kvm.Interop;

/// <summary>C <c>struct kvm_run.mmio</c> (linux/kvm.h): a memory access that user space completes.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct KvmRunMmio
{
    /// <summary>Where.</summary>
    public ulong PhysicalAddress;
    /// <summary>The data.</summary>
    public Byte8 Data;
    /// <summary>1 to 8 bytes.</summary>
    public uint Length;
    /// <summary>1 for a write.</summary>
    public byte IsWrite;
}
