using System.Buffers.Binary;
using System.Text;

namespace Vmm.Acpi;

/// <summary>
/// AML terms as bytes (ACPI 6.4 chapter 20), nested the way ASL nests them: what reads as ASL here assembles to it.
/// Names are paths as ASL writes them, up to two segments; segments shorter than four letters are filled up.
/// </summary>
internal static class Aml
{
    public static readonly byte[] Local0 = [0x60];
    public static readonly byte[] Zero = [0x00];

    public static byte[] Scope(string path, params byte[][] body) => [0x10, .. Package([.. Path(path), .. Join(body)])];

    public static byte[] Device(string name, params byte[][] body) =>
        [0x5B, 0x82, .. Package([.. Path(name), .. Join(body)])];

    public static byte[] Name(string name, byte[] value) => [0x08, .. Path(name), .. value];

    /// <summary>A serialized method: the flags' bit 3.</summary>
    public static byte[] Method(string name, byte arguments, params byte[][] body) =>
        [0x14, .. Package([.. Path(name), (byte)(arguments | 0x08), .. Join(body)])];

    public static byte[] MemoryRegion(string name, ulong start, ulong length) =>
        [0x5B, 0x80, .. Path(name), 0x00, .. Integer(start), .. Integer(length)];

    /// <summary>One field of a region, accessed in double words, written with zeros around it.</summary>
    public static byte[] DwordField(string region, string field, int bits) =>
        [0x5B, 0x81, .. Package([.. Path(region), 0x43, .. Path(field), .. PackageLength(bits, 0)])];

    public static byte[] Store(byte[] value, byte[] target) => [0x70, .. value, .. target];

    public static byte[] And(byte[] left, byte[] right) => [0x7B, .. left, .. right, .. Zero];

    public static byte[] If(byte[] predicate, params byte[][] body) =>
        [0xA0, .. Package([.. predicate, .. Join(body)])];

    public static byte[] Notify(string target, byte value) => [0x86, .. Path(target), .. Integer(value)];

    public static byte[] PackageOf(params byte[][] elements) =>
        [0x12, .. Package([(byte)elements.Length, .. Join(elements)])];

    public static byte[] Integer(ulong value)
    {
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, value);
        return value switch
        {
            0 or 1 => [(byte)value],
            <= byte.MaxValue => [0x0A, bytes[0]],
            <= ushort.MaxValue => [0x0B, .. bytes[..2]],
            <= uint.MaxValue => [0x0C, .. bytes[..4]],
            _ => [0x0E, .. bytes],
        };
    }

    public static byte[] String(string value) => [0x0D, .. Encoding.ASCII.GetBytes(value), 0];

    /// <summary>A seven-character EISA id such as PNP0501, in its compressed form (ACPI 6.4 §19.3.4).</summary>
    public static byte[] EisaId(string id)
    {
        int vendor = ((id[0] - '@') << 10) | ((id[1] - '@') << 5) | (id[2] - '@');
        int product = Convert.ToInt32(id[3..], 16);
        return [0x0C, (byte)(vendor >> 8), (byte)vendor, (byte)(product >> 8), (byte)product];
    }

    /// <summary>
    /// Resource descriptors (ACPI 6.4 §6.4) and their end tag, whose checksum of 0 means "not computed".
    /// </summary>
    public static byte[] Resources(params byte[][] descriptors)
    {
        byte[] body = [.. Join(descriptors), 0x79, 0x00];
        return [0x11, .. Package([.. Integer((ulong)body.Length), .. body])];
    }

    public static byte[] Ports(ushort start, byte count) =>
        [0x47, 0x01, (byte)start, (byte)(start >> 8), (byte)start, (byte)(start >> 8), 1, count];

    public static byte[] Irq(int line) => [0x22, (byte)(1 << line), (byte)((1 << line) >> 8)];

    public static byte[] Memory32Fixed(uint start, uint length)
    {
        byte[] bytes = [0x86, 9, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(4), start);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(8), length);
        return bytes;
    }

    /// <summary>One edge-triggered, active-high, exclusive GSI.</summary>
    public static byte[] EdgeInterrupt(uint gsi) =>
        [0x89, 6, 0, 0x03, 1, (byte)gsi, (byte)(gsi >> 8), (byte)(gsi >> 16), (byte)(gsi >> 24)];

    /// <summary>A name as a term or a reference.</summary>
    public static byte[] Path(string path)
    {
        string root = path.StartsWith('\\') ? "\\" : "";
        string[] segments = path[root.Length..].Split('.');
        byte[] prefix = segments.Length == 2 ? [0x2E] : [];
        string names = string.Concat(segments.Select(segment => segment.PadRight(4, '_')));
        return [.. Encoding.ASCII.GetBytes(root), .. prefix, .. Encoding.ASCII.GetBytes(names)];
    }

    private static byte[] Join(byte[][] terms) => [.. terms.SelectMany(term => term)];

    private static byte[] Package(byte[] content) => [.. PackageLength(content.Length, -1), .. content];

    /// <summary>
    /// PkgLength (ACPI 6.4 §20.2.4): the shortest form; as a package's it counts itself, as a field's it does not.
    /// </summary>
    private static byte[] PackageLength(int length, int own)
    {
        int Counted(int bytes) => own < 0 ? length + bytes : length;
        if (Counted(1) < 0x40) return [(byte)Counted(1)];
        if (Counted(2) < 0x1000) return [(byte)(0x40 | (Counted(2) & 0xF)), (byte)(Counted(2) >> 4)];
        int total = Counted(3);
        return [(byte)(0x80 | (total & 0xF)), (byte)(total >> 4), (byte)(total >> 12)];
    }
}
