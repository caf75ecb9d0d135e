using CowMemory;
using Kvm.Interop;

namespace Vmm.Boot;

/// <summary>
/// The state in which the boot processor starts a loaded kernel: 64-bit mode, paging on, interrupts off.
/// </summary>
/// <param name="Rip">The kernel's 64-bit entry point.</param>
/// <param name="Rsi">Address of the zero page, as the kernel expects it there.</param>
/// <param name="Rsp">Top of a small stack.</param>
/// <param name="Cr3">Root of the page tables; they map the first 4 GiB to themselves.</param>
/// <param name="GdtBase">Address of the descriptor table.</param>
/// <param name="GdtLimit">Its size minus one, bytes.</param>
/// <param name="CodeSelector">For CS: 64-bit code.</param>
/// <param name="DataSelector">For DS, ES, SS, FS and GS: flat data.</param>
public sealed record BootEntry(
    Gpa Rip, Gpa Rsi, Gpa Rsp, Gpa Cr3, Gpa GdtBase, ushort GdtLimit, ushort CodeSelector, ushort DataSelector)
{
    private const ulong Cr0ProtectionEnable = 1, Cr0ExtensionType = 1 << 4;
    private const ulong Cr0NumericError = 1 << 5, Cr0Paging = 1UL << 31;
    private const ulong Cr4PhysicalAddressExtension = 1 << 5;
    private const ulong EferLongModeEnable = 1 << 8, EferLongModeActive = 1 << 10;
    private const ulong RflagsAlwaysOne = 2;

    // Types of descriptors (Intel SDM vol. 3 §3.4.5.1 and §3.5).
    private const byte AccessedCode = 0xB, AccessedData = 0x3, BusyTss = 0xB;

    /// <summary>Turns a fresh vCPU's registers into this state.</summary>
    /// <param name="sregs">From KVM_GET_SREGS; what is not named here (APIC base) stays.</param>
    /// <param name="regs">Overwritten.</param>
    public void Apply(ref KvmSregs sregs, ref KvmRegs regs)
    {
        sregs.Cs = Flat(CodeSelector, AccessedCode) with { L = 1 };
        sregs.Ds = sregs.Es = sregs.Fs = sregs.Gs = sregs.Ss = Flat(DataSelector, AccessedData) with { Db = 1 };
        // VM entry demands a busy TSS, even for a kernel that will load its own before it could matter.
        sregs.Tr = new KvmSegment { Limit = 0xFFFF, Type = BusyTss, Present = 1 };
        sregs.Ldt = new KvmSegment { Unusable = 1 };
        sregs.Gdt = new KvmDtable { Base = GdtBase.Value, Limit = GdtLimit };
        sregs.Idt = default; // an exception now is a triple fault, which is what it should be
        sregs.Cr0 = Cr0ProtectionEnable | Cr0ExtensionType | Cr0NumericError | Cr0Paging;
        sregs.Cr3 = Cr3.Value;
        sregs.Cr4 = Cr4PhysicalAddressExtension;
        sregs.Efer = EferLongModeEnable | EferLongModeActive;
        regs = new KvmRegs { Rip = Rip.Value, Rsi = Rsi.Value, Rsp = Rsp.Value, Rflags = RflagsAlwaysOne };
    }

    private static KvmSegment Flat(ushort selector, byte type) =>
        new() { Limit = uint.MaxValue, Selector = selector, Type = type, Present = 1, S = 1, G = 1 };
}
