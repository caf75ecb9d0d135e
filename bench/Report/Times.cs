using System.Globalization;

namespace Report;

/// <summary>Times as people read them: three digits and a unit.</summary>
public static class Times
{
    /// <summary>Microseconds, in the unit that suits them.</summary>
    public static string Text(double micros) => micros switch
    {
        < 1000 => $"{Digits(micros)} µs",
        < 1_000_000 => $"{Digits(micros / 1000)} ms",
        _ => $"{Digits(micros / 1_000_000)} s",
    };

    /// <summary>Microseconds, as milliseconds without the unit.</summary>
    public static string Millis(double micros) => Digits(micros / 1000);

    /// <summary>Microseconds, as seconds without the unit, to the millisecond.</summary>
    public static string Seconds(double micros) => (micros / 1_000_000).ToString("0.000", CultureInfo.InvariantCulture);

    private static string Digits(double value)
    {
        string format = value switch { < 10 => "0.00", < 100 => "0.0", _ => "0" };
        return value.ToString(format, CultureInfo.InvariantCulture);
    }
}
