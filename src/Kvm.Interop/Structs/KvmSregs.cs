using System.Runtime.InteropServices;

namespace Kvm.Interop;

/// <summary>C <c>struct kvm_sregs</c> (linux/kvm.h): segment, descriptor-table and control registers.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct KvmSregs
{
    /// <summary>A segment register.</summary>
    public KvmSegment Cs;
    /// <summary>A segment register.</summary>
    public KvmSegment Ds;
    /// <summary>A segment register.</summary>
    public KvmSegment Es;
    /// <summary>A segment register.</summary>
    public KvmSegment Fs;
    /// <summary>A segment register.</summary>
    public KvmSegment Gs;
    /// <summary>A segment register.</summary>
    public KvmSegment Ss;
    /// <summary>A segment register.</summary>
    public KvmSegment Tr;
    /// <summary>A segment register.</summary>
    public KvmSegment Ldt;
    /// <summary>A descriptor-table register.</summary>
    public KvmDtable Gdt;
    /// <summary>A descriptor-table register.</summary>
    public KvmDtable Idt;
    /// <summary>A control register.</summary>
    public ulong Cr0;
    /// <summary>A control register.</summary>
    public ulong Cr2;
    /// <summary>A control register.</summary>
    public ulong Cr3;
    /// <summary>A control register.</summary>
    public ulong Cr4;
    /// <summary>A control register.</summary>
    public ulong Cr8;
    /// <summary>A control register.</summary>
    public ulong Efer;
    /// <summary>A control register.</summary>
    public ulong ApicBase;
    /// <summary>At most one bit set: an interrupt acknowledged but not yet injected.</summary>
    public UInt64Array4 InterruptBitmap;
}
