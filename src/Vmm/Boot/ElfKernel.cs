using System.Buffers.Binary;
using CowMemory;

namespace Vmm.Boot;

/// <summary>
/// An ELF64 vmlinux: segments to load at their physical addresses, entered at its 64-bit entry point.
/// </summary>
internal static class ElfKernel
{
    private const int HeaderSize = 64, ProgramHeaderSize = 56, MaxProgramHeaders = 64;
    private const byte Class64 = 2, LittleEndian = 1;
    private const ushort TypeExecutable = 2, MachineX86_64 = 62;
    private const uint TypeLoad = 1, TypeInterpreter = 3;

    // What such a kernel's own header would say: it is not in the ELF file. The limits are those of every x86-64
    // kernel.
    private const uint InitrdAddressMax = 0x7FFF_FFFF, CommandLineMax = 2047, Alignment = 0x20_0000;
    private const int SynthesizedHeaderEnd = 0x268;

    /// <summary>Whether a file begins like one.</summary>
    /// <param name="head">Its first bytes.</param>
    public static bool Matches(ReadOnlySpan<byte> head) => head.StartsWith("\u007FELF"u8);

    /// <summary>Loads its segments.</summary>
    public static KernelImage Load(BootFile file, ReadOnlySpan<byte> head, GuestMemory memory)
    {
        if (head.Length < HeaderSize) throw file.Truncated();
        if (head[4] != Class64 || head[5] != LittleEndian) throw file.Bad("is an ELF file, but not a 64-bit x86 one");
        ushort type = BinaryPrimitives.ReadUInt16LittleEndian(head[16..]);
        ushort machine = BinaryPrimitives.ReadUInt16LittleEndian(head[18..]);
        if (machine != MachineX86_64) throw file.Bad($"is an ELF file for another processor (ELF machine {machine})");
        if (type != TypeExecutable) throw file.Bad("is an ELF file, but no kernel: a module, library or program");

        ulong table = BinaryPrimitives.ReadUInt64LittleEndian(head[32..]);
        int entrySize = BinaryPrimitives.ReadUInt16LittleEndian(head[54..]);
        int count = BinaryPrimitives.ReadUInt16LittleEndian(head[56..]);
        if (entrySize != ProgramHeaderSize || count is 0 or > MaxProgramHeaders)
            throw file.Bad("is damaged: its program headers make no sense");
        Span<byte> headers = stackalloc byte[MaxProgramHeaders * ProgramHeaderSize];
        headers = headers[..(count * ProgramHeaderSize)];
        if (table > (ulong)file.Length || (ulong)headers.Length > (ulong)file.Length - table) throw file.Truncated();
        file.Read((long)table, headers);

        ulong end = 0, entry = BinaryPrimitives.ReadUInt64LittleEndian(head[24..]);
        ulong? physicalEntry = null;
        for (int i = 0; i < count; i++)
        {
            Segment segment = Segment.Parse(headers.Slice(i * ProgramHeaderSize, ProgramHeaderSize));
            if (segment.Type == TypeInterpreter) throw file.Bad("is an ELF program, not a kernel");
            if (segment.Type != TypeLoad || segment.MemorySize == 0) continue;
            LoadSegment(file, segment, memory);
            end = Math.Max(end, segment.Physical + segment.MemorySize);
            physicalEntry ??= segment.Translate(entry);
        }

        return new KernelImage(
            physicalEntry ?? throw file.Bad("is damaged: its entry point lies outside of what it loads"),
            end, CommandLineMax, InitrdAddressMax, Header());
    }

    private static void LoadSegment(BootFile file, in Segment segment, GuestMemory memory)
    {
        if (segment.FileSize > segment.MemorySize) throw file.Bad("is damaged: its program headers make no sense");
        ulong fileEnd = (ulong)file.Length;
        if (segment.Offset > fileEnd || segment.FileSize > fileEnd - segment.Offset) throw file.Truncated();
        ulong memoryEnd = memory.Layout.Regions[0].Length;
        if (segment.Physical < BootLayout.KernelMinimum)
            throw file.Bad($"wants to be loaded to 0x{segment.Physical:x}; kernels begin at 1 MiB or above");
        if (segment.Physical > memoryEnd || segment.MemorySize > memoryEnd - segment.Physical)
            throw file.TooLarge(segment.Physical, segment.MemorySize, memoryEnd);

        file.Read((long)segment.Offset, memory, segment.Physical, segment.FileSize);
        ulong zeros = segment.MemorySize - segment.FileSize;
        memory.Write(new Gpa(segment.Physical + segment.FileSize), checked((int)zeros)).Clear();
    }

    private static byte[] Header()
    {
        byte[] header = new byte[SynthesizedHeaderEnd - SetupHeader.Start];
        Span<byte> Field(int offset) => header.AsSpan(offset - SetupHeader.Start);
        BinaryPrimitives.WriteUInt16LittleEndian(Field(SetupHeader.BootFlag), SetupHeader.BootFlagValue);
        BinaryPrimitives.WriteUInt32LittleEndian(Field(SetupHeader.Magic), SetupHeader.MagicValue);
        BinaryPrimitives.WriteUInt16LittleEndian(Field(SetupHeader.Version), SetupHeader.MinimumVersion);
        BinaryPrimitives.WriteUInt32LittleEndian(Field(SetupHeader.InitrdAddressMax), InitrdAddressMax);
        BinaryPrimitives.WriteUInt32LittleEndian(Field(SetupHeader.KernelAlignment), Alignment);
        BinaryPrimitives.WriteUInt32LittleEndian(Field(SetupHeader.CommandLineSize), CommandLineMax);
        return header;
    }

    /// <summary>Elf64_Phdr.</summary>
    private readonly record struct Segment(
        uint Type, ulong Offset, ulong Virtual, ulong Physical, ulong FileSize, ulong MemorySize)
    {
        public static Segment Parse(ReadOnlySpan<byte> header) => new(
            BinaryPrimitives.ReadUInt32LittleEndian(header),
            BinaryPrimitives.ReadUInt64LittleEndian(header[8..]),
            BinaryPrimitives.ReadUInt64LittleEndian(header[16..]),
            BinaryPrimitives.ReadUInt64LittleEndian(header[24..]),
            BinaryPrimitives.ReadUInt64LittleEndian(header[32..]),
            BinaryPrimitives.ReadUInt64LittleEndian(header[40..]));

        /// <summary>
        /// The physical address of an entry point in this segment. Linux names a physical one, ELF means a virtual one.
        /// </summary>
        public ulong? Translate(ulong entry)
        {
            if (entry - Physical < MemorySize) return entry;
            return entry - Virtual < MemorySize ? entry - Virtual + Physical : null;
        }
    }
}
