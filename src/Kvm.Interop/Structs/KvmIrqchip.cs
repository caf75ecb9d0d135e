using System.Runtime.InteropServices;

namespace Kvm.Interop;

/// <summary>
/// C <c>struct kvm_irqchip</c> (linux/kvm.h): state of one interrupt controller: 0 and 1 the PICs, 2 the IOAPIC.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
public struct KvmIrqchip
{
    /// <summary>Which.</summary>
    public uint ChipId;
    /// <summary>Unused.</summary>
    public uint Padding;
    /// <summary>Its registers.</summary>
    public Byte512 Chip;
}
