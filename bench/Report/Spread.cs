using System.Globalization;

namespace Report;

/// <summary>Figures as tables show them: the median, and in brackets the least and the most.</summary>
public static class Spread
{
    /// <summary>The median; of an even number of figures the mean of the middle two.</summary>
    /// <param name="values">At least one.</param>
    public static double Median(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Order()];
        return (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
    }

    /// <summary>As text; a single figure without brackets.</summary>
    /// <param name="values">At least one.</param>
    /// <param name="format">Of a figure.</param>
    public static string Text(IReadOnlyCollection<double> values, string format)
    {
        return values.Count == 1 ? Number(values.Single()) : $"{Number(Median(values))} ({Number(values.Min())}–{Number(values.Max())})";

        string Number(double value) => value.ToString(format, CultureInfo.InvariantCulture);
    }
}
