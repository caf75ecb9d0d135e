using System.Buffers.Binary;
using System.Text;

namespace Vmm.Acpi;

/// <summary>The frame every ACPI table shares (ACPI 6.4 §5.2.6).</summary>
internal static class AcpiTable
{
    public const int HeaderSize = 36;
    public static ReadOnlySpan<byte> OemId => "BGKVM "u8;

    /// <summary>Puts a header with lengths and checksum before a table's content.</summary>
    public static byte[] Build(string signature, byte revision, ReadOnlySpan<byte> content)
    {
        byte[] table = new byte[HeaderSize + content.Length];
        Encoding.ASCII.GetBytes(signature, table);
        BinaryPrimitives.WriteInt32LittleEndian(table.AsSpan(4), table.Length);
        table[8] = revision;
        OemId.CopyTo(table.AsSpan(10));
        "BGKVMACP"u8.CopyTo(table.AsSpan(16));
        BinaryPrimitives.WriteUInt32LittleEndian(table.AsSpan(24), 1);
        "BGKV"u8.CopyTo(table.AsSpan(28));
        BinaryPrimitives.WriteUInt32LittleEndian(table.AsSpan(32), 1);
        content.CopyTo(table.AsSpan(HeaderSize));
        table[9] = Checksum(table);
        return table;
    }

    /// <summary>The byte that makes the sum of all bytes 0.</summary>
    public static byte Checksum(ReadOnlySpan<byte> bytes)
    {
        byte sum = 0;
        foreach (byte b in bytes) sum += b;
        return (byte)-sum;
    }
}
