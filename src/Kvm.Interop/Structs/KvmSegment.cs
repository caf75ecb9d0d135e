using System.Runtime.InteropServices;

namespace Kvm.Interop;

/// <summary>C <c>struct kvm_segment</c> (linux/kvm.h): a segment register with its hidden part.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct KvmSegment
{
    /// <summary>Linear base.</summary>
    public ulong Base;
    /// <summary>Limit in bytes.</summary>
    public uint Limit;
    /// <summary>Visible selector.</summary>
    public ushort Selector;
    /// <summary>A descriptor field (Intel SDM vol. 3 §3.4.5).</summary>
    public byte Type;
    /// <summary>A descriptor field (Intel SDM vol. 3 §3.4.5).</summary>
    public byte Present;
    /// <summary>A descriptor field (Intel SDM vol. 3 §3.4.5).</summary>
    public byte Dpl;
    /// <summary>A descriptor field (Intel SDM vol. 3 §3.4.5).</summary>
    public byte Db;
    /// <summary>A descriptor field (Intel SDM vol. 3 §3.4.5).</summary>
    public byte S;
    /// <summary>A descriptor field (Intel SDM vol. 3 §3.4.5).</summary>
    public byte L;
    /// <summary>A descriptor field (Intel SDM vol. 3 §3.4.5).</summary>
    public byte G;
    /// <summary>A descriptor field (Intel SDM vol. 3 §3.4.5).</summary>
    public byte Avl;
    /// <summary>A descriptor field (Intel SDM vol. 3 §3.4.5).</summary>
    public byte Unusable;
    /// <summary>Unused.</summary>
    public byte Padding;
}
