using System.Runtime.InteropServices;

namespace Kvm.Interop;

/// <summary>C <c>struct kvm_irq_level</c> (linux/kvm.h): the level of an interrupt line.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct KvmIrqLevel
{
    /// <summary>GSI.</summary>
    public uint Irq;
    /// <summary>0 or 1.</summary>
    public uint Level;
}
