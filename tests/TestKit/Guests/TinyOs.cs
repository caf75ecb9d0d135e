using System.Buffers.Binary;
using CowMemory;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace TestKit.Guests;

/// <summary>
/// A guest that behaves as an operating system does towards its monitor, in ring 0 and a few hundred bytes, so that whole reboots
/// run on a software KVM too: an ELF kernel that prints a login prompt on the console, answers commands there, powers off at
/// the ACPI power button and resets through the keyboard controller.
/// </summary>
/// <remarks>
/// <para>
/// Commands, a byte each: <c>v</c> prints its version; <c>F</c> fills all memory above 2 MiB with a pattern, another one every time, and
/// <c>C</c> checks it (each answers with its letter, or <c>!</c> for a damaged page); <c>b</c> makes it busy: from then on it writes to
/// all of that memory, round and round, beside the pattern; <c>r</c> resets; <c>q</c> powers off; <c>n</c> prints how often it has gone
/// round its loop, as eight raw bytes; <c>w</c> and eight bytes: writes them, with the version, to the sector of that number on the
/// first two disks, flushes both and answers <c>w</c> and the bytes, or <c>e</c>.
/// </para>
/// <para>
/// One that announces itself answers every question on the guest channel with <c>done</c>, and shows the question's first letter in braces
/// on the console; the command <c>B</c> makes it ask for a background reboot. What the host says otherwise is shown in the same way.
/// </para>
/// <para>
/// Where it has a disk, it reads and writes a sector of the first one while it boots, and panics, as Linux
/// does without a root file system, when that fails.
/// </para>
/// </remarks>
public static class TinyOs
{
    private const ushort Com1 = 0x3F8, Com1LineStatus = 0x3FD, Com2 = 0x2F8, Com2LineStatus = 0x2FD;
    private const int RoundsUntilReady = 20_000;
    private const uint PowerEvents = 0xFEA0_0000, SleepControl = 0xFEA0_0200;
    private const byte KeyboardCommand = 0x64, SleepS5 = (5 << 2) | 0x20, PulseReset = 0xFE;
    private const ulong Load = 0x10_0000, Counter = 0x18_0000, FirstFilled = 0x20_0000;
    private const int Pattern = 8, BusyAt = 16; // behind the counter: what the pages are filled with; the page to write next, or 0
    private const int BusyPagesARound = 64;

    private const string PanicText = "[    0.531870] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)\r\n";
    private const string EmergencyText =
        "You are in emergency mode. After logging in, type \"journalctl -xb\" to view\r\nsystem logs, \"systemctl reboot\" to reboot.\r\n";

    /// <summary>The sector that it reads on the first disk while it boots.</summary>
    public const int ReadSector = 8000;

    /// <summary>The sector that it writes on the first disk while it boots.</summary>
    public const int WrittenSector = 0;

    /// <summary>Builds the kernel.</summary>
    /// <param name="version">One character: what <c>v</c> answers.</param>
    /// <param name="memoryBytes">How much memory F and C cover; below the device hole.</param>
    /// <param name="boot">What it does when it starts.</param>
    /// <returns>An ELF file.</returns>
    public static byte[] Kernel(char version, ulong memoryBytes, TinyOsBoot boot = TinyOsBoot.Normally)
    {
        Assembler a = new(64);
        Label loop = a.CreateLabel(), input = a.CreateLabel(), reset = a.CreateLabel(), off = a.CreateLabel();
        Label busy = a.CreateLabel(), ask = a.CreateLabel(), fill = a.CreateLabel(), check = a.CreateLabel(), number = a.CreateLabel(), hang = a.CreateLabel();

        Print(a, $"\r\nTinyOs {version}\r\n");
        if (boot == TinyOsBoot.Announces) Print(a, "hello 1\n", Com2);
        if (boot == TinyOsBoot.Resets) a.jmp(reset);
        if (boot == TinyOsBoot.Hangs) a.jmp(hang);
        if (boot == TinyOsBoot.Panics) PrintAnd(a, PanicText, hang);
        if (boot == TinyOsBoot.PanicsAndResets) PrintAnd(a, PanicText, reset);
        if (boot == TinyOsBoot.WaitsInEmergencyMode) PrintAnd(a, EmergencyText, hang);
        if (boot == TinyOsBoot.TripleFaults) TripleFault(a);
        Label panic = a.CreateLabel(), record = a.CreateLabel(), started = a.CreateLabel();
        TinyDisks disks = new(a);
        disks.Start();
        a.mov(rsi, TinyDisks.Window(0));
        a.cmp(__dword_ptr[rsi], TinyDisks.Magic);
        a.jne(started);
        a.cmp(__dword_ptr[rsi + TinyDisks.Capacity], ReadSector); // a persistent disk may be the first, and sealed
        a.jbe(started);
        disks.Request(0, TinyDisks.Read, () => a.mov(rbx, ReadSector), panic);
        a.mov(__byte_ptr[TinyDisks.Data(0)], (byte)version);
        disks.Request(0, TinyDisks.Write, () => a.mov(rbx, WrittenSector), panic);
        disks.Request(0, TinyDisks.Flush, () => a.mov(rbx, 0), panic);
        a.Label(ref started);
        Print(a, "login: ");
        if (boot == TinyOsBoot.Announces) SayReady(a);

        a.mov(rbp, Counter);
        a.Label(ref loop);
        a.inc(__qword_ptr[rbp]);
        WriteWhenBusy(a, memoryBytes);
        if (boot == TinyOsBoot.Announces) AnswerHost(a);
        a.mov(dx, Com1LineStatus);
        a.@in(al, dx);
        a.test(al, 1);
        a.jnz(input);
        if (boot == TinyOsBoot.NormallyAndIgnoresButton) a.jmp(loop);
        a.mov(ebx, PowerEvents);
        a.mov(eax, __dword_ptr[rbx]);
        a.test(eax, 2);
        a.jz(loop);
        if (boot == TinyOsBoot.NormallyAndResetsAtButton) a.jmp(reset);
        if (boot == TinyOsBoot.NormallyAndPanicsAtButton) PrintAnd(a, PanicText, hang);
        a.Label(ref off);
        Print(a, "off\r\n");
        a.mov(ebx, SleepControl);
        a.mov(__byte_ptr[rbx], SleepS5);
        a.jmp(hang);

        a.Label(ref input);
        a.mov(dx, Com1);
        a.@in(al, dx);
        foreach ((char letter, Label target) in new[] { ('F', fill), ('C', check), ('r', reset), ('q', off), ('n', number), ('w', record), ('b', busy), ('B', ask) })
        {
            a.cmp(al, (byte)letter);
            a.je(target);
        }

        a.cmp(al, (byte)'v');
        a.jne(loop);
        Print(a, $"<{version}>");
        a.jmp(loop);

        a.Label(ref fill);
        a.inc(__qword_ptr[rbp + Pattern]);
        a.mov(rsi, __qword_ptr[rbp + Pattern]);
        EachPage(a, memoryBytes, () =>
        {
            a.lea(rax, __[rdi + rsi]);
            a.mov(__qword_ptr[rdi], rax);
        });
        Print(a, "F");
        a.jmp(loop);

        Label damaged = a.CreateLabel();
        a.Label(ref check);
        a.mov(rsi, __qword_ptr[rbp + Pattern]);
        EachPage(a, memoryBytes, () =>
        {
            a.lea(rax, __[rdi + rsi]);
            a.cmp(__qword_ptr[rdi], rax);
            a.jne(damaged);
        });
        Print(a, "C");
        a.jmp(loop);
        a.Label(ref damaged);
        Print(a, "!");
        a.jmp(loop);

        a.Label(ref number);
        a.mov(rax, __qword_ptr[rbp]);
        PrintRax(a);
        a.jmp(loop);

        a.Label(ref ask);
        Print(a, "reboot --background\n", Com2);
        a.jmp(loop);

        a.Label(ref busy);
        a.mov(__qword_ptr[rbp + BusyAt], (int)FirstFilled);
        Print(a, "b");
        a.jmp(loop);

        Label failed = a.CreateLabel();
        a.Label(ref record);
        ReadR12(a);
        for (int disk = 0; disk < 2; disk++)
        {
            a.mov(rdi, TinyDisks.Data(disk));
            a.mov(__qword_ptr[rdi], r12);
            a.mov(__byte_ptr[rdi + sizeof(ulong)], (byte)version);
            disks.Request(disk, TinyDisks.Write, () => a.mov(rbx, r12), failed);
            disks.Request(disk, TinyDisks.Flush, () => a.mov(rbx, 0), failed);
        }

        Print(a, "w");
        a.mov(rax, r12);
        PrintRax(a);
        a.jmp(loop);
        a.Label(ref failed);
        Print(a, "e");
        a.jmp(loop);

        a.Label(ref panic);
        Print(a, "Kernel panic - not syncing: cannot use the system disk\r\n");

        a.Label(ref reset);
        a.mov(al, PulseReset);
        a.@out(KeyboardCommand, al);
        a.Label(ref hang);
        a.jmp(hang);

        using MemoryStream code = new();
        a.Assemble(new StreamCodeWriter(code), Load);
        return Elf(code.ToArray());
    }

    private static void PrintAnd(Assembler a, string text, Label then)
    {
        Print(a, text);
        a.jmp(then);
    }

    /// <summary>An exception, with nothing to handle it or what comes of that.</summary>
    private static void TripleFault(Assembler a)
    {
        const int noTable = 0x17_0000;
        a.mov(rdi, noTable);
        a.mov(__word_ptr[rdi], 0); // limit
        a.mov(__qword_ptr[rdi + sizeof(ushort)], 0); // base
        a.lidt(__[rdi]);
        a.ud2();
    }

    private static void WriteWhenBusy(Assembler a, ulong memoryBytes)
    {
        Label idle = a.CreateLabel(), again = a.CreateLabel(), next = a.CreateLabel();
        a.mov(rdi, __qword_ptr[rbp + BusyAt]);
        a.test(rdi, rdi);
        a.jz(idle);
        a.mov(ecx, BusyPagesARound);
        a.Label(ref again);
        a.inc(__qword_ptr[rdi + sizeof(ulong)]);
        a.add(rdi, (int)MemoryLayout.PageSize);
        a.cmp(rdi, (int)memoryBytes);
        a.jb(next);
        a.mov(rdi, FirstFilled);
        a.Label(ref next);
        a.dec(ecx);
        a.jnz(again);
        a.mov(__qword_ptr[rbp + BusyAt], rdi);
        a.Label(ref idle);
    }

    private static void SayReady(Assembler a)
    {
        Label wait = a.CreateLabel();
        a.mov(ecx, RoundsUntilReady);
        a.Label(ref wait);
        a.dec(ecx);
        a.jnz(wait);
        Print(a, "up\r\n");
        Print(a, "ready\n", Com2);
        a.xor(r13, r13);
    }

    // r13b: the byte before, a question's number when the line ends; r13 = 0 where a line begins.
    private static void AnswerHost(Assembler a)
    {
        Label nothing = a.CreateLabel(), inside = a.CreateLabel(), statement = a.CreateLabel();
        a.mov(dx, Com2LineStatus);
        a.@in(al, dx);
        a.test(al, 1);
        a.jz(nothing);
        a.mov(dx, Com2);
        a.@in(al, dx);
        a.test(r13, r13);
        a.jnz(inside);
        a.mov(r14b, al);
        a.Label(ref inside);
        a.cmp(al, (byte)'\n');
        a.xchg(al, r13b);
        a.jne(nothing);
        a.mov(r13b, al);
        Print(a, "{");
        a.mov(al, r14b);
        a.@out(dx, al);
        Print(a, "}");
        a.cmp(r13b, (byte)'9');
        a.ja(statement);
        Print(a, "done ", Com2);
        a.mov(al, r13b);
        a.@out(dx, al);
        Print(a, "\n", Com2);
        a.Label(ref statement);
        a.xor(r13, r13);
        a.Label(ref nothing);
    }

    private static void PrintRax(Assembler a)
    {
        a.mov(dx, Com1);
        for (int i = 0; i < sizeof(ulong); i++)
        {
            a.@out(dx, al);
            a.shr(rax, 8);
        }
    }

    private static void ReadR12(Assembler a)
    {
        for (int i = 0; i < sizeof(ulong); i++)
        {
            Label wait = a.CreateLabel();
            a.mov(dx, Com1LineStatus);
            a.Label(ref wait);
            a.@in(al, dx);
            a.test(al, 1);
            a.jz(wait);
            a.mov(dx, Com1);
            a.@in(al, dx);
            a.shl(r12, 8);
            a.movzx(eax, al);
            a.or(r12, rax);
        }

        a.bswap(r12);
    }

    private static void Print(Assembler a, string text, ushort port = Com1)
    {
        a.mov(dx, port);
        foreach (char c in text)
        {
            a.mov(al, (byte)c);
            a.@out(dx, al);
        }
    }

    // rdi: the page, which is also what belongs into it.
    private static void EachPage(Assembler a, ulong memoryBytes, Action body)
    {
        Label next = a.CreateLabel();
        a.mov(rdi, FirstFilled);
        a.mov(rcx, memoryBytes);
        a.Label(ref next);
        body();
        a.add(rdi, (int)MemoryLayout.PageSize);
        a.cmp(rdi, rcx);
        a.jb(next);
    }

    /// <summary>The smallest ELF64 executable: one header, one segment.</summary>
    private static byte[] Elf(byte[] code)
    {
        const int header = 64, programHeader = 56, start = header + programHeader;
        byte[] file = new byte[start + code.Length];
        Span<byte> f = file;
        ReadOnlySpan<byte> ident = [0x7F, (byte)'E', (byte)'L', (byte)'F', 2, 1, 1];
        ident.CopyTo(f);
        BinaryPrimitives.WriteUInt16LittleEndian(f[16..], 2); // ET_EXEC
        BinaryPrimitives.WriteUInt16LittleEndian(f[18..], 62); // EM_X86_64
        BinaryPrimitives.WriteUInt32LittleEndian(f[20..], 1);
        BinaryPrimitives.WriteUInt64LittleEndian(f[24..], Load); // entry
        BinaryPrimitives.WriteUInt64LittleEndian(f[32..], header); // program headers
        BinaryPrimitives.WriteUInt16LittleEndian(f[52..], header);
        BinaryPrimitives.WriteUInt16LittleEndian(f[54..], programHeader);
        BinaryPrimitives.WriteUInt16LittleEndian(f[56..], 1);
        Span<byte> p = f[header..];
        BinaryPrimitives.WriteUInt32LittleEndian(p, 1); // PT_LOAD
        BinaryPrimitives.WriteUInt32LittleEndian(p[4..], 7);
        BinaryPrimitives.WriteUInt64LittleEndian(p[8..], start);
        BinaryPrimitives.WriteUInt64LittleEndian(p[16..], Load);
        BinaryPrimitives.WriteUInt64LittleEndian(p[24..], Load);
        BinaryPrimitives.WriteUInt64LittleEndian(p[32..], (ulong)code.Length);
        BinaryPrimitives.WriteUInt64LittleEndian(p[40..], (ulong)code.Length);
        BinaryPrimitives.WriteUInt64LittleEndian(p[48..], 4096);
        code.CopyTo(f[start..]);
        return file;
    }
}
