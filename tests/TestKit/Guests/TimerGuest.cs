using CowMemory;
using Iced.Intel;
using Kvm.Interop;
using static Iced.Intel.AssemblerRegisters;

namespace TestKit.Guests;

/// <summary>
/// A guest in 64-bit ring 0 that does nothing but arm the local APIC's timer in one-shot mode, wait for it without sleeping, and arm it
/// again. One that is lost leaves it waiting; one that comes twice it sees.
/// </summary>
public static class TimerGuest
{
    /// <summary>Memory it needs, bytes.</summary>
    public const ulong MemoryBytes = 1 << 20;

    /// <summary>How often it has armed its timer: 64 bits.</summary>
    public static readonly Gpa Armed = GuestMap.Mailbox;
    /// <summary>How often the timer has fired: 64 bits.</summary>
    public static readonly Gpa Fired = new(GuestMap.Mailbox.Value + 8);
    /// <summary>Not 0 when it has fired more often than it was armed: 64 bits.</summary>
    public static readonly Gpa Twice = new(GuestMap.Mailbox.Value + 16);

    private const ulong Idt = 0x3000, Gdt = 0x2000;
    private const uint LocalApic = 0xFEE0_0000;
    private const byte Vector = 0x31;
    private const ushort Code = 0x08;

    /// <summary>Writes the program and its tables into a guest's memory.</summary>
    /// <param name="memory">New, empty memory.</param>
    /// <param name="nanoseconds">What the timer is armed with; KVM's local APIC counts nanoseconds.</param>
    public static void Load(GuestMemory memory, uint nanoseconds)
    {
        GuestProgram.Assemble(GuestMode.Long64, a => Write(a, nanoseconds)).Load(memory);
        _ = memory.TryStore(new Gpa(Gdt + Code), 0x00AF_9B00_0000_FFFFul);
        _ = memory.TryStore(new Gpa(Gdt + 0x10), 0x00CF_9300_0000_FFFFul);
    }

    /// <summary>Puts the vCPU at the program's start.</summary>
    public static void Enter(ref KvmRegs regs, ref KvmSregs sregs)
    {
        new GuestProgram([], GuestMode.Long64).Enter(ref regs, ref sregs);
        sregs.Gdt = new KvmDtable { Base = Gdt, Limit = 0x17 };
        sregs.Idt = new KvmDtable { Base = Idt, Limit = 0xFFF };
    }

    private static void Write(Assembler a, uint nanoseconds)
    {
        const uint Eoi = 0xB0, Spurious = 0xF0, TimerEntry = 0x320, InitialCount = 0x380, Divider = 0x3E0;
        Label handler = a.CreateLabel(), start = a.CreateLabel(), arm = a.CreateLabel(), wait = a.CreateLabel();
        a.jmp(start);
        a.Label(ref handler);
        a.push(rax);
        a.inc(At(Fired));
        Store(Eoi, 0);
        a.pop(rax);
        a.iretq();

        a.Label(ref start);
        InterruptGate.Write(a, Idt, Vector, Code, handler);
        Store(Spurious, 0x1FF);
        Store(Divider, 0xB); // by 1
        Store(TimerEntry, Vector);
        a.sti();

        a.Label(ref arm);
        a.inc(At(Armed));
        Store(InitialCount, nanoseconds);
        a.Label(ref wait);
        a.mov(rbx, At(Fired));
        a.cmp(rbx, At(Armed));
        a.jb(wait);
        a.je(arm);
        a.inc(At(Twice));
        a.jmp(wait);

        void Store(uint register, uint value)
        {
            a.mov(eax, LocalApic + register);
            a.mov(__dword_ptr[rax], value);
        }
    }

    private static AssemblerMemoryOperand At(Gpa address) => __qword_ptr[address.Value];
}
