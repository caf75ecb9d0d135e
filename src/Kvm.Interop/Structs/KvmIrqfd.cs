using System.Runtime.InteropServices;

namespace Kvm.Interop;

/// <summary>C <c>struct kvm_irqfd</c> (linux/kvm.h): ties an eventfd to an interrupt line.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct KvmIrqfd
{
    /// <summary>The eventfd.</summary>
    public uint Fd;
    /// <summary>The line.</summary>
    public uint Gsi;
    /// <summary>1: deassign, 2: resample.</summary>
    public uint Flags;
    /// <summary>For level-triggered lines.</summary>
    public uint ResampleFd;
    /// <summary>Unused.</summary>
    public Byte16 Padding;
}
