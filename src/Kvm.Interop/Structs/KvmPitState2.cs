using System.Runtime.InteropServices;

namespace Kvm.Interop;

/// <summary>C <c>struct kvm_pit_state2</c> (linux/kvm.h): the 8254.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct KvmPitState2
{
    /// <summary>The three channels.</summary>
    public KvmPitChannelArray3 Channels;
    /// <summary>KVM_PIT_FLAGS_*.</summary>
    public uint Flags;
    /// <summary>Unused.</summary>
    public UInt32Array9 Reserved;
}
