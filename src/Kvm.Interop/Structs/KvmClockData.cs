using System.Runtime.InteropServices;

namespace Kvm.Interop;

/// <summary>C <c>struct kvm_clock_data</c> (linux/kvm.h): the VM-wide kvmclock.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct KvmClockData
{
    /// <summary>Nanoseconds since the VM was made.</summary>
    public ulong Clock;
    /// <summary>2 TSC_STABLE, 4 REALTIME, 8 HOST_TSC.</summary>
    public uint Flags;
    /// <summary>Unused.</summary>
    public uint Padding0;
    /// <summary>Host CLOCK_REALTIME at the same instant, ns (flag 4).</summary>
    public ulong Realtime;
    /// <summary>Host TSC at the same instant (flag 8).</summary>
    public ulong HostTsc;
    /// <summary>Unused.</summary>
    public UInt32Array4 Padding;
}
