using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace TestKit.Guests;

/// <summary>An entry of a 64-bit interrupt descriptor table (Intel SDM vol. 3 §6.14.1).</summary>
internal static class InterruptGate
{
    /// <summary>Writes the code that fills one in. It takes RAX and RDI.</summary>
    /// <param name="a">The program.</param>
    /// <param name="table">Where the table begins.</param>
    /// <param name="vector">Which entry.</param>
    /// <param name="code">Selector of the code segment.</param>
    /// <param name="handler">What it leads to, below 2 GiB.</param>
    internal static void Write(Assembler a, ulong table, int vector, ushort code, Label handler)
    {
        a.lea(rax, __[handler]);
        a.mov(rdi, table + ((ulong)vector * 16));
        a.mov(__word_ptr[rdi], ax);
        a.mov(__word_ptr[rdi + 2], code);
        a.mov(__word_ptr[rdi + 4], 0x8E00u); // present, interrupt gate
        a.shr(rax, 16);
        a.mov(__word_ptr[rdi + 6], ax);
        a.mov(__qword_ptr[rdi + 8], 0);
    }
}
