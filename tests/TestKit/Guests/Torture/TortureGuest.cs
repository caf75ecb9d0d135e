using System.Buffers.Binary;
using CowMemory;
using Iced.Intel;
using Kvm.Interop;
using static Iced.Intel.AssemblerRegisters;

namespace TestKit.Guests.Torture;

/// <summary>
/// A guest that notices when anything of its machine changes behind its back: two vCPUs in 64-bit ring 0 that put a pattern into
/// every register they have and check it for ever, while timers, interrupts between them, NMIs, a serial port, a power button
/// and a disk are kept going, all counted, so that nothing can get lost or come twice unnoticed.
/// </summary>
/// <remarks>
/// What is lost shows as a counter that stands still: each source sends its next only after it has got the last. What comes
/// twice is found by the guest, like everything else: the first failed check stops its vCPU and says so
/// (<see cref="TortureField.Error"/>). The basic profile keeps to what a software KVM emulates; the others add to that
/// (<see cref="TortureProfile"/>).
/// </remarks>
public static partial class TortureGuest
{
    /// <summary>Number of vCPUs.</summary>
    public const int Cpus = 2;
    /// <summary>Memory it needs, bytes.</summary>
    public const ulong MemoryBytes = 2 << 20;
    /// <summary>The disk it needs, bytes.</summary>
    public const long DiskBytes = 32 * 512;

    private const ulong Blocks = 0x3_0000, Idts = 0x4_0000, Gdts = 0x4_2000, Tsses = 0x4_3000, Clocks = 0x4_4000, Patterns = 0x4_5000;
    private const ulong BlockBytes = 0x1000;
    private const ushort CodeSelector = 0x08, DataSelector = 0x10, TssSelector = 0x18, LdtSelector = 0x28, TableLimit = 0x37;
    private const ushort TssLimit = 0x67, LdtLimit = 0x0F, IdtLimit = 0xFFF;
    private const ulong Cr2Pattern = 0x0000_1234_5678_9ABC;
    private const uint FlagsKept = (1 << 21) | (1 << 18) | (1 << 10) | (1 << 9); // ID, AC, DF, IF
    private const uint FlagsPattern = (1 << 21) | (1 << 18) | (1 << 9);

    /// <summary>Where a vCPU's block begins.</summary>
    public static Gpa Block(int cpu) => new(Blocks + ((ulong)cpu * BlockBytes));

    /// <summary>Writes the program, its tables and patterns into a guest's memory.</summary>
    /// <param name="memory">New, empty memory.</param>
    /// <param name="profile">What it uses.</param>
    public static void Load(GuestMemory memory, TortureProfile profile)
    {
        GuestProgram.Assemble(GuestMode.Long64, a => Write(a, profile)).Load(memory);
        for (int cpu = 0; cpu < Cpus; cpu++)
        {
            Span<byte> gdt = memory.Write(new Gpa(GdtOf(cpu)), TableLimit + 1);
            ReadOnlySpan<ulong> entries =
            [
                0, 0x00AF_9B00_0000_FFFF, 0x00CF_9300_0000_FFFF,
                SystemDescriptor(TssOf(cpu), TssLimit, type: 0xB), 0, SystemDescriptor(TssOf(cpu) + 0x80, LdtLimit, type: 0x2), 0,
            ];
            for (int i = 0; i < entries.Length; i++) BinaryPrimitives.WriteUInt64LittleEndian(gdt[(i * 8)..], entries[i]);
            Span<byte> pattern = memory.Write(new Gpa(PatternOf(cpu)), 0x400);
            for (int i = 0; i < pattern.Length; i++) pattern[i] = (byte)((i * 7) + (cpu * 101) + 1);
        }

        LoadDisk(memory);
    }

    /// <summary>Puts a vCPU at the program's start.</summary>
    /// <param name="cpu">Which.</param>
    /// <param name="regs">Its registers.</param>
    /// <param name="sregs">Its registers as they are after reset.</param>
    public static void Enter(int cpu, ref KvmRegs regs, ref KvmSregs sregs)
    {
        new GuestProgram([], GuestMode.Long64).Enter(ref regs, ref sregs);
        regs.Rdi = (ulong)cpu;
        regs.Rbp = Block(cpu).Value;
        regs.Rsp = Block(cpu).Value + BlockBytes;
        sregs.Cr4 |= 0x200; // OSFXSR: SSE
        sregs.Gdt = new KvmDtable { Base = GdtOf(cpu), Limit = TableLimit };
        sregs.Idt = new KvmDtable { Base = IdtOf(cpu), Limit = IdtLimit };
        sregs.Tr = new KvmSegment { Base = TssOf(cpu), Limit = TssLimit, Selector = TssSelector, Type = 0xB, Present = 1 };
        sregs.Ldt = new KvmSegment { Base = TssOf(cpu) + 0x80, Limit = LdtLimit, Selector = LdtSelector, Type = 2, Present = 1 };
    }

    private static ulong GdtOf(int cpu) => Gdts + ((ulong)cpu * 0x100);
    private static ulong IdtOf(int cpu) => Idts + ((ulong)cpu * 0x1000);
    private static ulong TssOf(int cpu) => Tsses + ((ulong)cpu * 0x100);
    private static ulong PatternOf(int cpu) => Patterns + ((ulong)cpu * 0x400);

    // Intel SDM vol. 3 §3.5; all bases are below 16 MiB.
    private static ulong SystemDescriptor(ulong at, uint limit, uint type) =>
        limit | ((at & 0xFF_FFFF) << 16) | ((ulong)(0x80 | type) << 40);

    private static AssemblerMemoryOperand Field(TortureField field, uint offset = 0) => __qword_ptr[rbp + ((uint)field + offset)];

    private static void Write(Assembler a, TortureProfile profile)
    {
        Label second = a.CreateLabel();
        a.test(edi, edi);
        a.jnz(second);
        WriteCpu(a, 0, profile);
        a.Label(ref second);
        WriteCpu(a, 1, profile);
    }

    private static void WriteCpu(Assembler a, int cpu, TortureProfile profile)
    {
        Checks checks = new(a, cpu, profile);
        Events events = new(a, cpu, checks.Fail);
        Disk disk = new(a, checks.Fail);
        Label handlers = a.CreateLabel(), loop = a.CreateLabel();
        a.jmp(handlers);
        events.WriteHandlers(disk);
        a.Label(ref handlers);
        events.Install();
        checks.Prepare();
        events.Prepare();
        if (cpu == 0) disk.Prepare();
        a.push((int)FlagsPattern);
        a.popfq();

        a.Label(ref loop);
        checks.WriteRegisters();
        checks.WriteState();
        events.Write();
        if (cpu == 0) disk.Write();
        a.inc(Field(TortureField.Rounds));
        a.jmp(loop);
        checks.WriteFailures();
    }
}
