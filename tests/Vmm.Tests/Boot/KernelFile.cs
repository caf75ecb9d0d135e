using System.Buffers.Binary;
using System.Text;

namespace Vmm.Tests.Boot;

/// <summary>Kernel files made for a test: right unless told to be wrong.</summary>
internal static class KernelFile
{
    public const ulong LoadAddress = 0x100_0000;
    private const int SetupSectors = 3;

    /// <summary>A bzImage whose 64-bit entry is the first byte of <paramref name="code"/>.</summary>
    public static byte[] BzImage(
        byte[]? code = null, ushort version = 0x20F, ushort loadFlags = 0x7F, ulong address = LoadAddress,
        uint initSize = 0x10_0000, uint commandLineSize = 2047, uint initrdMax = 0x7FFF_FFFF, int payload = 0x2000)
    {
        int setup = (SetupSectors + 1) * 512;
        byte[] file = new byte[setup + payload];
        file[0x1F1] = SetupSectors;
        BinaryPrimitives.WriteUInt32LittleEndian(file.AsSpan(0x1F4), (uint)payload / 16);
        BinaryPrimitives.WriteUInt16LittleEndian(file.AsSpan(0x1FE), 0xAA55);
        file[0x200] = 0xEB;
        file[0x201] = 0x6A;
        Encoding.ASCII.GetBytes("HdrS", file.AsSpan(0x202));
        BinaryPrimitives.WriteUInt16LittleEndian(file.AsSpan(0x206), version);
        BinaryPrimitives.WriteUInt32LittleEndian(file.AsSpan(0x22C), initrdMax);
        BinaryPrimitives.WriteUInt32LittleEndian(file.AsSpan(0x230), 0x20_0000);
        BinaryPrimitives.WriteUInt16LittleEndian(file.AsSpan(0x236), loadFlags);
        BinaryPrimitives.WriteUInt32LittleEndian(file.AsSpan(0x238), commandLineSize);
        BinaryPrimitives.WriteUInt64LittleEndian(file.AsSpan(0x258), address);
        BinaryPrimitives.WriteUInt32LittleEndian(file.AsSpan(0x260), initSize);
        file.AsSpan(setup).Fill(0xCC);
        code?.CopyTo(file.AsSpan(setup + 0x200));
        return file;
    }

    /// <summary>An ELF64 kernel of one segment, entered at its first byte.</summary>
    public static byte[] Elf(
        byte[]? code = null, byte elfClass = 2, ushort type = 2, ushort machine = 62, ulong physical = LoadAddress,
        ulong virtualAddress = 0xFFFF_FFFF_8100_0000, ulong? entry = null, ulong memorySize = 0x3000,
        ulong fileSize = 0x1000, uint segmentType = 1, ushort segments = 1, ulong offset = 0x1000,
        int length = 0x2000, ulong table = 64)
    {
        byte[] file = new byte[length];
        Span<byte> span = file;
        Encoding.ASCII.GetBytes("\u007FELF", span);
        file[4] = elfClass;
        file[5] = 1;
        file[6] = 1;
        BinaryPrimitives.WriteUInt16LittleEndian(span[16..], type);
        BinaryPrimitives.WriteUInt16LittleEndian(span[18..], machine);
        BinaryPrimitives.WriteUInt64LittleEndian(span[24..], entry ?? physical);
        BinaryPrimitives.WriteUInt64LittleEndian(span[32..], table);
        BinaryPrimitives.WriteUInt16LittleEndian(span[54..], 56);
        BinaryPrimitives.WriteUInt16LittleEndian(span[56..], segments);
        Span<byte> header = span[64..];
        BinaryPrimitives.WriteUInt32LittleEndian(header, segmentType);
        BinaryPrimitives.WriteUInt64LittleEndian(header[8..], offset);
        BinaryPrimitives.WriteUInt64LittleEndian(header[16..], virtualAddress);
        BinaryPrimitives.WriteUInt64LittleEndian(header[24..], physical);
        BinaryPrimitives.WriteUInt64LittleEndian(header[32..], fileSize);
        BinaryPrimitives.WriteUInt64LittleEndian(header[40..], memorySize);
        if (code is not null) code.CopyTo(span[0x1000..]);
        else if (length > 0x1000) span[0x1000..].Fill(0xCC);
        return file;
    }
}
