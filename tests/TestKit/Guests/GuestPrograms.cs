using CowMemory;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace TestKit.Guests;

/// <summary>The test guests. They use nothing but what a software KVM emulates in ring 0.</summary>
public static class GuestPrograms
{
    /// <summary>
    /// The port that guests talk through unless told otherwise: free on a PC, and in bgkvm's platform.
    /// </summary>
    public const ushort TestPort = 0xF00;

    /// <summary>Halts for ever with interrupts off: only a kick gets it out of KVM_RUN.</summary>
    public static GuestProgram Halt(GuestMode mode = GuestMode.Real16) => GuestProgram.Assemble(mode, a =>
    {
        Label again = a.CreateLabel();
        a.cli();
        a.Label(ref again);
        a.hlt();
        a.jmp(again);
    });

    /// <summary>Jumps to itself for ever: never leaves the guest by itself.</summary>
    public static GuestProgram Spin(GuestMode mode = GuestMode.Real16) => GuestProgram.Assemble(mode, a =>
    {
        Label again = a.CreateLabel();
        a.Label(ref again);
        a.jmp(again);
    });

    /// <summary>
    /// Reads a byte from a port and writes it back plus one, for ever: two exits to user space a round.
    /// </summary>
    public static GuestProgram PortEcho(ushort port = TestPort) => GuestProgram.Assemble(GuestMode.Real16, a =>
    {
        Label again = a.CreateLabel();
        a.mov(dx, port);
        a.Label(ref again);
        a.@in(al, dx);
        a.inc(al);
        a.@out(dx, al);
        a.jmp(again);
    });

    /// <summary>Loads a 32-bit word from an address that is no memory and stores it back plus one, for ever.</summary>
    public static GuestProgram MmioEcho(Gpa address) => GuestProgram.Assemble(GuestMode.Long64, a =>
    {
        Label again = a.CreateLabel();
        a.mov(rbx, address.Value);
        a.Label(ref again);
        a.mov(eax, __dword_ptr[rbx]);
        a.add(eax, 1);
        a.mov(__dword_ptr[rbx], eax);
        a.jmp(again);
    });

    /// <summary>
    /// Sleeps, and counts the interrupts of one line of the first PIC: reports 0 when ready, then the count (its low
    /// byte) after each. Needs a VM with an irqchip.
    /// </summary>
    /// <param name="line">The line, 0 to 7; all others are masked.</param>
    /// <param name="port">Where reports go.</param>
    public static GuestProgram InterruptCounter(int line, ushort port = TestPort) =>
        GuestProgram.Assemble(GuestMode.Real16, a =>
    {
        const byte FirstVector = 0x20;
        Label main = a.CreateLabel(), sleep = a.CreateLabel();
        a.call(main); // leaves the handler's address on the stack

        a.mov(al, 0x20); // end of interrupt
        a.@out((byte)0x20, al);
        a.inc(bx);
        a.mov(al, bl);
        a.@out(dx, al);
        a.iret();

        a.Label(ref main);
        a.pop(ax);
        a.mov(__word_ptr[(FirstVector + line) * 4], ax);
        a.mov(__word_ptr[((FirstVector + line) * 4) + 2], cs);
        // The 8259A's initialisation words: edge-triggered, vectors from 0x20, slave on line 2, 8086 mode; then the
        // mask.
        foreach ((byte register, byte value) in ((byte, byte)[])
            [(0x20, 0x11), (0x21, FirstVector), (0x21, 0x04), (0x21, 0x01), (0x21, (byte)~(1 << line))])
        {
            a.mov(al, (sbyte)value);
            a.@out(register, al);
        }

        a.mov(dx, port);
        a.xor(ax, ax);
        a.@out(dx, al);
        a.sti();
        a.Label(ref sleep);
        a.hlt();
        a.jmp(sleep);
    });

    /// <summary>
    /// Counts in memory for ever, and does what its mailbox asks for in between: fills all memory with a pattern,
    /// checks it, reports, halts. Each command is answered with its byte on a port.
    /// </summary>
    /// <param name="layout">The guest's memory.</param>
    /// <param name="from">Where Fill and Check begin; they go up to the end of memory. Null: at 1 MiB.</param>
    /// <param name="port">Where answers go; 0x3F8 makes them show on a console.</param>
    public static GuestProgram Worker(MemoryLayout layout, Gpa? from = null, ushort port = TestPort)
    {
        GuestRegion[] regions = layout.Regions.ToArray();
        ulong first = (from ?? GuestMap.Free).Value;
        return GuestProgram.Assemble(GuestMode.Long64, a =>
        {
            Label count = a.CreateLabel(), done = a.CreateLabel();
            Label fill = a.CreateLabel(), check = a.CreateLabel(), report = a.CreateLabel(), touch = a.CreateLabel();
            Label halt = a.CreateLabel();
            a.mov(rbp, GuestMap.Mailbox.Value);
            a.Label(ref count);
            a.inc(__qword_ptr[rbp + GuestMailbox.CounterOffset]);
            a.mov(rsi, __qword_ptr[rbp + GuestMailbox.CommandOffset]);
            a.test(rsi, rsi);
            a.jz(count);

            a.mov(rbx, __qword_ptr[rbp + GuestMailbox.SeedOffset]);
            a.xor(r8d, r8d); // the result
            a.cmp(esi, (int)WorkerCommand.Fill);
            a.je(fill);
            a.cmp(esi, (int)WorkerCommand.Check);
            a.je(check);
            a.cmp(esi, (int)WorkerCommand.Report);
            a.je(report);
            a.cmp(esi, (int)WorkerCommand.Touch);
            a.je(touch);
            a.jmp(halt);

            a.Label(ref fill);
            EachPage(a, regions, first, () =>
            {
                a.mov(__qword_ptr[rdi], rax);
                a.inc(r8);
            });
            a.jmp(done);

            a.Label(ref check);
            EachPage(a, regions, first, () =>
            {
                Label equal = a.CreateLabel();
                a.cmp(__qword_ptr[rdi], rax);
                a.je(equal);
                a.inc(r8);
                a.Label(ref equal);
            });
            a.jmp(done);

            a.Label(ref touch);
            EachPage(a, regions, first, () =>
            {
                a.inc(__qword_ptr[rdi]);
                a.inc(__qword_ptr[rbp + GuestMailbox.CounterOffset]);
            });
            a.cmp(__qword_ptr[rbp + GuestMailbox.CommandOffset], (int)WorkerCommand.Touch);
            a.je(touch);
            a.jmp(count);

            a.Label(ref report);
            a.mov(r8, __qword_ptr[rbp + GuestMailbox.CounterOffset]);

            a.Label(ref done);
            Answer(a, port);
            a.jmp(count);

            a.Label(ref halt);
            Answer(a, port);
            a.cli();
            a.hlt();
            a.jmp(halt);
        });
    }

    // rdi: the page; rax: what belongs there.
    private static void EachPage(Assembler a, GuestRegion[] regions, ulong first, Action body)
    {
        foreach (GuestRegion region in regions)
        {
            ulong start = Math.Max(region.Start.Value, first), end = region.Start.Value + region.Length;
            if (end <= start) continue;
            Label next = a.CreateLabel();
            a.mov(rdi, start);
            a.lea(rax, __[rbx + rdi]);
            a.mov(rcx, (end - start) / MemoryLayout.PageSize);
            a.Label(ref next);
            body();
            a.add(rdi, (int)MemoryLayout.PageSize);
            a.add(rax, (int)MemoryLayout.PageSize);
            a.dec(rcx);
            a.jnz(next);
        }
    }

    private static void Answer(Assembler a, ushort port)
    {
        a.mov(__qword_ptr[rbp + GuestMailbox.ResultOffset], r8);
        a.mov(__qword_ptr[rbp + GuestMailbox.CommandOffset], 0);
        a.mov(edx, (uint)port);
        a.mov(eax, esi);
        a.@out(dx, al);
    }
}
