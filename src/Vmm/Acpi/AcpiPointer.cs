using System.Buffers.Binary;

namespace Vmm.Acpi;

/// <summary>A place in a table that holds an address.</summary>
/// <param name="Offset">Where.</param>
/// <param name="Size">Bytes: 4 or 8.</param>
internal readonly record struct AcpiPointer(int Offset, int Size)
{
    /// <summary>Moves the address.</summary>
    public void Add(Span<byte> content, ulong distance)
    {
        Span<byte> place = content[Offset..];
        if (Size == sizeof(uint))
        {
            uint value = BinaryPrimitives.ReadUInt32LittleEndian(place);
            BinaryPrimitives.WriteUInt32LittleEndian(place, checked(value + (uint)distance));
            return;
        }

        BinaryPrimitives.WriteUInt64LittleEndian(place, BinaryPrimitives.ReadUInt64LittleEndian(place) + distance);
    }
}
