using System.Buffers.Binary;
using CowMemory;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Downtime.Qemu;

/// <summary>
/// A 64 KiB firmware image (QEMU's <c>-bios</c>) that is a whole guest: from the reset vector into 64-bit mode, a number into every
/// page of memory above 1 MiB, then <see cref="Filled"/> on COM1, and from there on counting in memory, with a
/// <see cref="Alive"/> now and then. Ring 0 and simple instructions only, so that a software KVM runs it too.
/// </summary>
internal static class ToucherBios
{
    /// <summary>On the serial port when all memory has been written.</summary>
    internal const byte Filled = (byte)'F';
    /// <summary>On the serial port every 2^13 rounds of the counting loop.</summary>
    internal const byte Alive = (byte)'.';

    private const int Size = 0x1_0000, GdtAt = 0xFF00, Code64 = 8, GdtPointerAt = 0xFF20, ResetVectorAt = 0xFFF0, TablesAt = 0x1000;
    /// <summary>Where a PC's processor sees the image: the last 64 KiB below 1 MiB. Its first instruction comes from there too.</summary>
    private const uint Base = 0xF_0000;
    private const ushort Segment = 0xF000, Com1 = 0x3F8;
    private const ulong Counter = 0x1000, FirstFilled = 0x10_0000, GiB = 1UL << 30, LargePage = 2UL << 20;
    private const uint EferMsr = 0xC000_0080;
    private const int RoundsPerSign = 1 << 13;

    /// <summary>Makes the image for a guest of this size.</summary>
    internal static byte[] Build(MemoryLayout layout)
    {
        byte[] image = new byte[Size];
        GuestRegion last = layout.Regions[^1];
        WritePageTables(image, last.Start.Value + last.Length);
        // Two descriptors, with the accessed bit set: nothing has to be written to them. Intel SDM vol. 3 §3.4.5.
        BinaryPrimitives.WriteUInt64LittleEndian(image.AsSpan(GdtAt + Code64), 0x00AF_9B00_0000_FFFF);
        BinaryPrimitives.WriteUInt16LittleEndian(image.AsSpan(GdtPointerAt), 15);
        BinaryPrimitives.WriteUInt32LittleEndian(image.AsSpan(GdtPointerAt + 2), Base + GdtAt);

        byte[] start = EnterLongMode();
        start.CopyTo(image, 0);
        Program(layout.Regions.ToArray(), start.Length).CopyTo(image, start.Length);
        ((ReadOnlySpan<byte>)[0xEA, 0x00, 0x00, Segment & 0xFF, Segment >> 8]).CopyTo(image.AsSpan(ResetVectorAt)); // jmp Segment:0
        return image;
    }

    /// <summary>Straight from real mode (SDM vol. 3 §9.8.5); its last instruction jumps to what follows it in the image.</summary>
    private static byte[] EnterLongMode()
    {
        byte[] code = Assemble();
        byte[] jump = [0x66, 0xEA, 0, 0, 0, 0, Code64, 0]; // jmp far Code64:offset32, which an assembler for flat code does not know
        BinaryPrimitives.WriteUInt32LittleEndian(jump.AsSpan(2), Base + (uint)(code.Length + jump.Length));
        return [.. code, .. jump];

        static byte[] Assemble()
        {
            Assembler a = new(16);
            a.cli();
            a.mov(ax, Segment);
            a.mov(ds, ax);
            a.lgdt(__[GdtPointerAt]);
            a.mov(eax, 1 << 5); // CR4.PAE
            a.mov(cr4, eax);
            a.mov(eax, Base + TablesAt);
            a.mov(cr3, eax);
            a.mov(ecx, EferMsr);
            a.mov(eax, 1 << 8); // LME
            a.xor(edx, edx);
            a.wrmsr();
            a.mov(eax, 0x8000_0011); // CR0: paging, extension type, protection
            a.mov(cr0, eax);
            return Bytes(a, 0);
        }
    }

    private static byte[] Program(GuestRegion[] regions, int at)
    {
        Assembler a = new(64);
        foreach (GuestRegion region in regions)
        {
            ulong start = Math.Max(region.Start.Value, FirstFilled), end = region.Start.Value + region.Length;
            if (end <= start) continue;
            Label next = a.CreateLabel();
            a.mov(rdi, start);
            a.mov(rcx, (end - start) / MemoryLayout.PageSize);
            a.Label(ref next);
            a.mov(__qword_ptr[rdi], rdi); // its own address: no page is zero, no two are alike
            a.add(rdi, (int)MemoryLayout.PageSize);
            a.dec(rcx);
            a.jnz(next);
        }

        Label sign = a.CreateLabel(), count = a.CreateLabel();
        a.mov(edx, (uint)Com1);
        a.mov(eax, (uint)Filled);
        a.mov(rbp, Counter);
        a.Label(ref sign);
        a.@out(dx, al);
        a.mov(eax, (uint)Alive);
        a.mov(ecx, RoundsPerSign);
        a.Label(ref count);
        a.inc(__qword_ptr[rbp]);
        a.dec(ecx);
        a.jnz(count);
        a.jmp(sign);
        return Bytes(a, Base + (uint)at);
    }

    /// <summary>One to one, in pages of 2 MiB; accessed and dirty already, because the tables lie in ROM.</summary>
    private static void WritePageTables(byte[] image, ulong end)
    {
        const ulong Present = 0x1, Writable = 0x2, Accessed = 0x20, Dirty = 0x40, Large = 0x80, Entry = Present | Writable | Accessed;
        const int Table = 0x1000, Entries = 512;
        int gibibytes = (int)((end + GiB - 1) / GiB), level3 = TablesAt + Table;
        if (TablesAt + ((2 + gibibytes) * Table) > GdtAt)
            throw new ArgumentOutOfRangeException(nameof(end), end, "The page tables for so much memory do not fit into the image");
        Store(TablesAt, (ulong)(Base + level3) | Entry);
        for (int gib = 0; gib < gibibytes; gib++)
        {
            int level2 = level3 + ((gib + 1) * Table);
            Store(level3 + (gib * 8), (ulong)(Base + level2) | Entry);
            for (int i = 0; i < Entries; i++) Store(level2 + (i * 8), ((ulong)gib * GiB) + ((ulong)i * LargePage) | Entry | Dirty | Large);
        }

        void Store(int at, ulong entry) => BinaryPrimitives.WriteUInt64LittleEndian(image.AsSpan(at), entry);
    }

    private static byte[] Bytes(Assembler a, uint address)
    {
        using MemoryStream code = new();
        a.Assemble(new StreamCodeWriter(code), address);
        return code.ToArray();
    }
}
