using System.Runtime.InteropServices;

namespace Kvm.Interop;

/// <summary>C <c>struct kvm_pit_channel_state</c> (linux/kvm.h): one counter of the 8254.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct KvmPitChannelState
{
    /// <summary>Reload value, 1 to 65536.</summary>
    public uint Count;
    /// <summary>Latched value.</summary>
    public ushort LatchedCount;
    /// <summary>A register of the channel.</summary>
    public byte CountLatched;
    /// <summary>A register of the channel.</summary>
    public byte StatusLatched;
    /// <summary>A register of the channel.</summary>
    public byte Status;
    /// <summary>A register of the channel.</summary>
    public byte ReadState;
    /// <summary>A register of the channel.</summary>
    public byte WriteState;
    /// <summary>A register of the channel.</summary>
    public byte WriteLatch;
    /// <summary>A register of the channel.</summary>
    public byte RwMode;
    /// <summary>A register of the channel.</summary>
    public byte Mode;
    /// <summary>A register of the channel.</summary>
    public byte Bcd;
    /// <summary>A register of the channel.</summary>
    public byte Gate;
    /// <summary>Host time of the last load, ns.</summary>
    public long CountLoadTime;
}
