using System.Buffers.Binary;
using CowMemory;

namespace Vmm.Boot;

/// <summary>
/// What a processor needs in memory to be in 64-bit mode: segments, and page tables that map 4 GiB to themselves.
/// </summary>
internal static class LongMode
{
    public const ushort CodeSelector = 0x10, DataSelector = 0x18;
    public const ushort GdtLimit = (4 * 8) - 1;

    // Descriptors (Intel SDM vol. 3 §3.4.5) with their accessed bits set, so that loading them writes nothing.
    private const ulong CodeDescriptor = 0x00AF_9B00_0000_FFFF, DataDescriptor = 0x00CF_9300_0000_FFFF;

    // Page table bits (Intel SDM vol. 3 §4.5). Pages of 2 MiB: every processor has them, unlike those of 1 GiB.
    private const ulong Present = 1, Writable = 2, LargePage = 0x80;
    private const ulong LargePageSize = 0x20_0000, TableSize = 0x1000;
    private const int Entries = 512, Directories = 4;

    public static void Write(GuestMemory memory)
    {
        Span<byte> gdt = memory.Write(new Gpa(BootLayout.Gdt), GdtLimit + 1);
        gdt.Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(gdt[CodeSelector..], CodeDescriptor);
        BinaryPrimitives.WriteUInt64LittleEndian(gdt[DataSelector..], DataDescriptor);

        const ulong Table = Present | Writable, Page = Present | Writable | LargePage;
        WriteTable(memory, BootLayout.PageMap4, 1, BootLayout.PageDirectoryPointers | Table, 0);
        WriteTable(memory, BootLayout.PageDirectoryPointers, Directories,
            BootLayout.PageDirectories | Table, TableSize);
        WriteTable(memory, BootLayout.PageDirectories, Directories * Entries, Page, LargePageSize);
    }

    private static void WriteTable(GuestMemory memory, ulong address, int count, ulong first, ulong step)
    {
        int pages = (count + Entries - 1) / Entries;
        Span<byte> table = memory.Write(new Gpa(address), pages * Entries * sizeof(ulong));
        table.Clear();
        for (int i = 0; i < count; i++)
            BinaryPrimitives.WriteUInt64LittleEndian(table[(i * sizeof(ulong))..], first + ((ulong)i * step));
    }
}
