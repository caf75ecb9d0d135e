using System.Runtime.InteropServices;

namespace Kvm.Interop;

/// <summary>C <c>struct kvm_ioeventfd</c> (linux/kvm.h): ties a guest write to an eventfd.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct KvmIoeventfd
{
    /// <summary>Value that must be written (flag 1).</summary>
    public ulong DataMatch;
    /// <summary>Port or physical address.</summary>
    public ulong Address;
    /// <summary>Access size in bytes: 0, 1, 2, 4 or 8.</summary>
    public uint Length;
    /// <summary>The eventfd.</summary>
    public int Fd;
    /// <summary>1: match the data, 2: it is a port, 4: deassign.</summary>
    public uint Flags;
    /// <summary>Unused.</summary>
    public Byte36 Padding;
}
