using System.Runtime.InteropServices;

namespace Kvm.Interop;

/// <summary>C <c>struct kvm_regs</c> (linux/kvm.h): general-purpose registers.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct KvmRegs
{
    /// <summary>A register.</summary>
    public ulong Rax;
    /// <summary>A register.</summary>
    public ulong Rbx;
    /// <summary>A register.</summary>
    public ulong Rcx;
    /// <summary>A register.</summary>
    public ulong Rdx;
    /// <summary>A register.</summary>
    public ulong Rsi;
    /// <summary>A register.</summary>
    public ulong Rdi;
    /// <summary>A register.</summary>
    public ulong Rsp;
    /// <summary>A register.</summary>
    public ulong Rbp;
    /// <summary>A register.</summary>
    public ulong R8;
    /// <summary>A register.</summary>
    public ulong R9;
    /// <summary>A register.</summary>
    public ulong R10;
    /// <summary>A register.</summary>
    public ulong R11;
    /// <summary>A register.</summary>
    public ulong R12;
    /// <summary>A register.</summary>
    public ulong R13;
    /// <summary>A register.</summary>
    public ulong R14;
    /// <summary>A register.</summary>
    public ulong R15;
    /// <summary>A register.</summary>
    public ulong Rip;
    /// <summary>A register.</summary>
    public ulong Rflags;
}
