using System.Runtime.InteropServices;

namespace Kvm.Interop;

/// <summary>C <c>struct kvm_mp_state</c> (linux/kvm.h): whether a vCPU runs, halts or waits for SIPI.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct KvmMpState
{
    /// <summary>0 runnable, 1 uninitialized, 2 INIT received, 3 halted, 4 SIPI received.</summary>
    public uint State;
}
