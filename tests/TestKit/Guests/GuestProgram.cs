using CowMemory;
using Iced.Intel;
using Kvm.Interop;

namespace TestKit.Guests;

/// <summary>A tiny ring-0 guest: machine code for <see cref="GuestMap.Code"/>, and the mode it begins in.</summary>
/// <param name="Code">The machine code; its first byte is the entry point.</param>
/// <param name="Mode">The mode it is assembled for.</param>
public sealed record GuestProgram(byte[] Code, GuestMode Mode)
{
    private const ulong Cr0ProtectionEnable = 1, Cr0ExtensionType = 1 << 4, Cr0Paging = 1UL << 31;
    private const ulong Cr4PhysicalAddressExtension = 1 << 5;
    private const ulong EferLongModeEnable = 1 << 8, EferLongModeActive = 1 << 10;
    private const ulong RflagsReserved = 2;

    /// <summary>Assembles a program.</summary>
    public static GuestProgram Assemble(GuestMode mode, Action<Assembler> write)
    {
        Assembler assembler = new(mode == GuestMode.Real16 ? 16 : 64);
        write(assembler);
        using MemoryStream code = new();
        // A real-mode program sees offsets in its segment, a 64-bit one linear addresses.
        assembler.Assemble(new StreamCodeWriter(code), mode == GuestMode.Real16 ? 0 : GuestMap.Code.Value);
        return new GuestProgram(code.ToArray(), mode);
    }

    /// <summary>Writes the program, and the page tables it needs, into a guest's memory.</summary>
    public void Load(GuestMemory memory)
    {
        Code.CopyTo(memory.Write(GuestMap.Code, Code.Length));
        if (Mode != GuestMode.Long64) return;
        GuestRegion last = memory.Layout.Regions[^1];
        PageTables.Write(memory, last.Start.Value + last.Length);
    }

    /// <summary>
    /// Turns a vCPU's registers, as they are after reset, into those of the program's first instruction.
    /// </summary>
    public void Enter(ref KvmRegs regs, ref KvmSregs sregs)
    {
        regs = new KvmRegs { Rsp = GuestMap.StackTop.Value, Rflags = RflagsReserved };
        if (Mode == GuestMode.Real16)
        {
            sregs.Cs.Base = GuestMap.Code.Value;
            sregs.Cs.Selector = (ushort)(GuestMap.Code.Value >> 4);
            return;
        }

        regs.Rip = GuestMap.Code.Value;
        sregs.Cr0 = Cr0ProtectionEnable | Cr0ExtensionType | Cr0Paging;
        sregs.Cr3 = GuestMap.PageTables.Value;
        sregs.Cr4 = Cr4PhysicalAddressExtension;
        sregs.Efer = EferLongModeEnable | EferLongModeActive;
        sregs.Cs = Flat(selector: 0x08, type: 0xB, longMode: true);
        sregs.Ds = sregs.Es = sregs.Fs = sregs.Gs = sregs.Ss = Flat(selector: 0x10, type: 0x3, longMode: false);
    }

    private static KvmSegment Flat(ushort selector, byte type, bool longMode) => new()
    {
        Limit = uint.MaxValue,
        Selector = selector,
        Type = type,
        Present = 1,
        S = 1,
        G = 1,
        L = longMode ? (byte)1 : (byte)0,
        Db = longMode ? (byte)0 : (byte)1,
    };
}
