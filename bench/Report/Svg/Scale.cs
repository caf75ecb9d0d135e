namespace Report.Svg;

/// <summary>Where a value lies on a logarithmic axis.</summary>
/// <param name="from">The value at <paramref name="start"/>.</param>
/// <param name="to">The value at <paramref name="end"/>.</param>
/// <param name="start">First pixel.</param>
/// <param name="end">Last pixel.</param>
internal sealed class Scale(double from, double to, double start, double end)
{
    internal double this[double value] => start + ((end - start) * Math.Log(value / from) / Math.Log(to / from));

    /// <summary>A scale whose ends are powers of ten around these values.</summary>
    internal static Scale Decades(double least, double most, double start, double end) => new(Floor(least), Ceiling(most), start, end);

    /// <summary>The powers of ten on it.</summary>
    internal IEnumerable<double> Ticks()
    {
        for (double tick = Floor(from); tick <= to * 1.001; tick *= 10)
            if (tick >= from * 0.999) yield return tick;
    }

    private static double Floor(double value) => Math.Pow(10, Math.Floor(Math.Log10(value) + 1e-9));
    private static double Ceiling(double value) => Math.Pow(10, Math.Ceiling(Math.Log10(value) - 1e-9));
}
