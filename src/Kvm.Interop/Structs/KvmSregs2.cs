using System.Runtime.InteropServices;

namespace Kvm.Interop;

/// <summary>C <c>struct kvm_sregs2</c> (linux/kvm.h): as <see cref="KvmSregs"/>, with the page-directory pointers of PAE paging.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct KvmSregs2
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
    /// <summary>1: <see cref="PageDirectoryPointers"/> are valid.</summary>
    public ulong Flags;
    /// <summary>What a processor in PAE paging read at its last load of CR3: memory may hold others by now.</summary>
    public UInt64Array4 PageDirectoryPointers;
}
