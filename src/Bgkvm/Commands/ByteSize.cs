using System.Globalization;

namespace Bgkvm.Commands;

/// <summary>Sizes of disks and clusters as people write them: <c>64K</c>, <c>512M</c>, <c>10G</c>, <c>2T</c>, or plain bytes.</summary>
internal static class ByteSize
{
    private const string Units = "KMGTP";

    /// <summary>Reads one.</summary>
    /// <param name="text">A whole number, and perhaps a unit: powers of 1024.</param>
    /// <param name="bytes">The size, bytes; positive.</param>
    public static bool TryParse(string text, out long bytes)
    {
        bytes = 0;
        int unit = text.Length > 0 ? Units.IndexOf(char.ToUpperInvariant(text[^1]), StringComparison.Ordinal) + 1 : 0;
        if (!long.TryParse(text.AsSpan(0, text.Length - (unit > 0 ? 1 : 0)), NumberStyles.None, CultureInfo.InvariantCulture, out long number))
            return false;
        if (number <= 0 || number > long.MaxValue >> (10 * unit)) return false;
        bytes = number << (10 * unit);
        return true;
    }

    /// <summary>Writes one for people, with one decimal where it does not fit evenly.</summary>
    public static string Format(long bytes)
    {
        int unit = 0;
        double size = bytes;
        for (; size >= 1024 && unit < Units.Length; unit++) size /= 1024;
        string suffix = unit == 0 ? " B" : $" {Units[unit - 1]}iB";
        return size.ToString(size == Math.Floor(size) ? "0" : "0.0", CultureInfo.InvariantCulture) + suffix;
    }
}
