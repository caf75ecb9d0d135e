using System.Globalization;

namespace Bgkvm.Commands;

/// <summary>Memory sizes as people write them: <c>512M</c>, <c>6G</c>.</summary>
internal static class MemorySize
{
    /// <summary>The least that a guest gets, MiB.</summary>
    public const int MinimumMiB = 16;

    /// <summary>The most a size may say, MiB: 16 TiB, beyond what any host here has.</summary>
    public const int MaximumMiB = 16 * 1024 * 1024;

    /// <summary>Reads one.</summary>
    /// <param name="text">A whole number and a unit, M (MiB) or G (GiB).</param>
    /// <param name="mib">The size, MiB.</param>
    public static bool TryParse(string text, out int mib)
    {
        mib = 0;
        if (text.Length < 2) return false;
        int unit = char.ToUpperInvariant(text[^1]) switch { 'M' => 1, 'G' => 1024, _ => 0 };
        if (unit == 0 || !int.TryParse(text.AsSpan(0, text.Length - 1), NumberStyles.None, CultureInfo.InvariantCulture, out int number))
            return false;
        long size = (long)number * unit;
        if (size is < MinimumMiB or > MaximumMiB) return false;
        mib = (int)size;
        return true;
    }

    /// <summary>Writes one in the largest unit that fits evenly.</summary>
    public static string Format(int mib) => mib % 1024 == 0 ? $"{mib / 1024}G" : $"{mib}M";
}
