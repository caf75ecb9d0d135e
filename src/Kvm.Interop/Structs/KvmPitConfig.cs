using System.Runtime.InteropServices;

namespace Kvm.Interop;

/// <summary>C <c>struct kvm_pit_config</c> (linux/kvm.h): how to create the 8254.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct KvmPitConfig
{
    /// <summary>1: KVM_PIT_SPEAKER_DUMMY, answer port 0x61 in the kernel.</summary>
    public uint Flags;
    /// <summary>Unused.</summary>
    public UInt32Array15 Padding;
}
