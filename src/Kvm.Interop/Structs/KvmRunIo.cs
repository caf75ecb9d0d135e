using System.Runtime.InteropServices;

namespace Kvm.Interop;

/// <summary>C <c>struct kvm_run.io</c> (linux/kvm.h): a port access that user space completes.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct KvmRunIo
{
    /// <summary>0 in, 1 out.</summary>
    public byte Direction;
    /// <summary>1, 2 or 4 bytes.</summary>
    public byte Size;
    /// <summary>The port.</summary>
    public ushort Port;
    /// <summary>Repetitions (string instructions).</summary>
    public uint Count;
    /// <summary>Where the data are, from the start of kvm_run.</summary>
    public ulong DataOffset;
}
