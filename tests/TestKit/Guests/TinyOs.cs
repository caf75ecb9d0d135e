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
/// Commands, a byte each: <c>v</c> prints its version; <c>F</c> fills all memory above 2 MiB with a pattern and <c>C</c> checks it
/// (each answers with its letter, or <c>!</c> for a damaged page); <c>r</c> resets; <c>q</c> powers off; <c>n</c> prints how often it
/// has gone round its loop, as eight raw bytes.
/// </remarks>
public static class TinyOs
{
    private const ushort Com1 = 0x3F8, Com1LineStatus = 0x3FD;
    private const uint PowerEvents = 0xFEA0_0000, SleepControl = 0xFEA0_0200;
    private const byte KeyboardCommand = 0x64, SleepS5 = (5 << 2) | 0x20, PulseReset = 0xFE;
    private const ulong Load = 0x10_0000, Counter = 0x18_0000, FirstFilled = 0x20_0000;

    /// <summary>Builds the kernel.</summary>
    /// <param name="version">One character: what <c>v</c> answers.</param>
    /// <param name="memoryBytes">How much memory F and C cover; below the device hole.</param>
    /// <param name="boot">What it does when it starts.</param>
    /// <returns>An ELF file.</returns>
    public static byte[] Kernel(char version, ulong memoryBytes, TinyOsBoot boot = TinyOsBoot.Normally)
    {
        Assembler a = new(64);
        Label loop = a.CreateLabel(), input = a.CreateLabel(), reset = a.CreateLabel(), off = a.CreateLabel();
        Label fill = a.CreateLabel(), check = a.CreateLabel(), number = a.CreateLabel(), hang = a.CreateLabel();

        Print(a, $"\r\nTinyOs {version}\r\n");
        if (boot == TinyOsBoot.Resets) a.jmp(reset);
        if (boot == TinyOsBoot.Hangs) a.jmp(hang);
        Print(a, "login: ");

        a.mov(rbp, Counter);
        a.Label(ref loop);
        a.inc(__qword_ptr[rbp]);
        a.mov(dx, Com1LineStatus);
        a.@in(al, dx);
        a.test(al, 1);
        a.jnz(input);
        a.mov(ebx, PowerEvents);
        a.mov(eax, __dword_ptr[rbx]);
        a.test(eax, 2);
        a.jz(loop);
        a.Label(ref off);
        Print(a, "off\r\n");
        a.mov(ebx, SleepControl);
        a.mov(__byte_ptr[rbx], SleepS5);
        a.jmp(hang);

        a.Label(ref input);
        a.mov(dx, Com1);
        a.@in(al, dx);
        foreach ((char letter, Label target) in new[] { ('F', fill), ('C', check), ('r', reset), ('q', off), ('n', number) })
        {
            a.cmp(al, (byte)letter);
            a.je(target);
        }

        a.cmp(al, (byte)'v');
        a.jne(loop);
        Print(a, $"<{version}>");
        a.jmp(loop);

        a.Label(ref fill);
        EachPage(a, memoryBytes, () => a.mov(__qword_ptr[rdi], rdi));
        Print(a, "F");
        a.jmp(loop);

        Label damaged = a.CreateLabel();
        a.Label(ref check);
        EachPage(a, memoryBytes, () =>
        {
            a.cmp(__qword_ptr[rdi], rdi);
            a.jne(damaged);
        });
        Print(a, "C");
        a.jmp(loop);
        a.Label(ref damaged);
        Print(a, "!");
        a.jmp(loop);

        a.Label(ref number);
        a.mov(rax, __qword_ptr[rbp]);
        a.mov(dx, Com1);
        for (int i = 0; i < sizeof(ulong); i++)
        {
            a.@out(dx, al);
            a.shr(rax, 8);
        }

        a.jmp(loop);

        a.Label(ref reset);
        a.mov(al, PulseReset);
        a.@out(KeyboardCommand, al);
        a.Label(ref hang);
        a.jmp(hang);

        using MemoryStream code = new();
        a.Assemble(new StreamCodeWriter(code), Load);
        return Elf(code.ToArray());
    }

    private static void Print(Assembler a, string text)
    {
        a.mov(dx, Com1);
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
