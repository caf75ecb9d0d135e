using System.Buffers.Binary;
using CowMemory;

namespace Vmm.Boot;

/// <summary>A bzImage: real-mode setup sectors, of which only the header counts here, then the 64-bit kernel.</summary>
internal static class BzImage
{
    private const int SectorSize = 512;
    private const int DefaultSetupSectors = 4;
    private const ulong Entry64Offset = 0x200;

    /// <summary>Whether a file begins like one.</summary>
    /// <param name="head">Its first bytes.</param>
    public static bool Matches(ReadOnlySpan<byte> head) =>
        head.Length >= SetupHeader.Version
        && BinaryPrimitives.ReadUInt16LittleEndian(head[SetupHeader.BootFlag..]) == SetupHeader.BootFlagValue
        && BinaryPrimitives.ReadUInt32LittleEndian(head[SetupHeader.Magic..]) == SetupHeader.MagicValue;

    /// <summary>Loads it to the address it prefers.</summary>
    public static KernelImage Load(BootFile file, ReadOnlySpan<byte> head, GuestMemory memory)
    {
        if (head.Length < SetupHeader.EndLimit) throw file.Truncated();
        ushort version = BinaryPrimitives.ReadUInt16LittleEndian(head[SetupHeader.Version..]);
        ushort flags = BinaryPrimitives.ReadUInt16LittleEndian(head[SetupHeader.ExtendedLoadFlags..]);
        if (version < SetupHeader.MinimumVersion || (flags & SetupHeader.KernelHas64BitEntry) == 0)
        {
            throw file.Bad($"has no 64-bit entry point (boot protocol {version >> 8}.{version & 0xFF:D2}; "
                + "x86-64 since 2.12 is needed)");
        }


        int sectors = head[SetupHeader.SetupSectors] is 0 ? DefaultSetupSectors : head[SetupHeader.SetupSectors];
        long payload = (sectors + 1) * SectorSize;
        ulong size = 16UL * BinaryPrimitives.ReadUInt32LittleEndian(head[SetupHeader.SystemSize..]);
        if (file.Length < payload || size > (ulong)(file.Length - payload)) throw file.Truncated();

        ulong address = BinaryPrimitives.ReadUInt64LittleEndian(head[SetupHeader.PreferredAddress..]);
        ulong needed = Math.Max(size, BinaryPrimitives.ReadUInt32LittleEndian(head[SetupHeader.InitSize..]));
        ulong memoryEnd = memory.Layout.Regions[0].Length;
        if (address < BootLayout.KernelMinimum || size == 0) throw file.Bad("is damaged: its header makes no sense");
        if (address > memoryEnd || needed > memoryEnd - address) throw file.TooLarge(address, needed, memoryEnd);
        file.Read(payload, memory, address, size);

        int headerEnd = Math.Min(SetupHeader.Magic + head[SetupHeader.JumpDistance], SetupHeader.EndLimit);
        return new KernelImage(
            Entry: address + Entry64Offset,
            End: address + needed,
            CommandLineLimit: BinaryPrimitives.ReadUInt32LittleEndian(head[SetupHeader.CommandLineSize..]),
            InitrdLimit: BinaryPrimitives.ReadUInt32LittleEndian(head[SetupHeader.InitrdAddressMax..]),
            SetupHeader: head[SetupHeader.Start..headerEnd].ToArray());
    }
}
