namespace Report.Svg;

/// <summary>Times against memory size, both logarithmic: what does not grow is level, what copies rises one to one.</summary>
public static class MemoryChart
{
    private const int Width = 890, Height = 480, Left = 70, Right = 275, Top = 56, Bottom = 60, LabelHeight = 16;
    private const string Grid = "#ddd";

    /// <summary>Draws it.</summary>
    /// <param name="title">Above it.</param>
    /// <param name="subtitle">Smaller, below the title.</param>
    /// <param name="series">At least one with a point.</param>
    /// <returns>SVG.</returns>
    public static string Draw(string title, string subtitle, IReadOnlyList<Series> series)
    {
        Series[] drawn = [.. series.Where(s => s.Points.Count > 0)];
        if (drawn.Length == 0) throw new ArgumentException("Nothing to draw", nameof(series));
        double[] sizes = [.. drawn.SelectMany(s => s.Points).Select(p => p.MemoryMiB).Distinct().Order()];
        // One size alone stands in the middle.
        Scale x = sizes.Length == 1
            ? new Scale(sizes[0] / 2, sizes[0] * 2, Left, Width - Right)
            : new Scale(sizes[0], sizes[^1], Left + 20, Width - Right - 10);
        double[] times = [.. drawn.SelectMany(s => s.Points).Select(p => Math.Max(1, p.Micros))];
        Scale y = Scale.Decades(times.Min() * 0.9, times.Max() * 1.1, Height - Bottom, Top);

        SvgDocument svg = new(Width, Height);
        svg.Text(Left, 24, title, size: 16, bold: true);
        svg.Text(Left, 43, subtitle, colour: "#555");
        foreach (double tick in y.Ticks())
        {
            svg.Line(Left, y[tick], Width - Right, y[tick], Grid);
            svg.Text(Left - 8, y[tick] + 4, Unit(tick), "end");
        }

        foreach (double size in sizes)
        {
            svg.Line(x[size], Top, x[size], Height - Bottom, Grid);
            svg.Text(x[size], Height - Bottom + 18, size < 1024 ? $"{size:0} MiB" : $"{size / 1024:0} GiB", "middle", size: 11);
        }

        svg.Text((Left + Width - Right) / 2.0, Height - 14, "guest memory, all of it written by the guest", "middle");
        foreach (Series line in drawn)
        {
            (double X, double Y)[] points = [.. line.Points.Select(p => (x[p.MemoryMiB], y[Math.Max(1, p.Micros)]))];
            svg.Polyline(points, line.Colour, 2.5, line.Dashed ? "6 4" : null);
            foreach ((double px, double py) in points) svg.Dot(px, py, 3.5, line.Colour);
        }

        Label(svg, [.. drawn.Select(s => (s, y[Math.Max(1, s.Points[^1].Micros)]))]);
        return svg.ToString();
    }

    /// <summary>Names the lines beside their ends, from top to bottom, moved apart where they would overlap.</summary>
    private static void Label(SvgDocument svg, List<(Series Line, double Y)> ends)
    {
        ends.Sort((a, b) => a.Y.CompareTo(b.Y));
        double[] places = Spread([.. ends.Select(e => e.Y)], LabelHeight, Top, Height - Bottom);
        for (int i = 0; i < ends.Count; i++)
        {
            (Series line, double y) = ends[i];
            svg.Line(Width - Right + 2, y, Width - Right + 16, places[i], line.Colour);
            string value = Times.Text(line.Points[^1].Micros);
            svg.Text(Width - Right + 20, places[i] + 4, $"{line.Label} ({value})", colour: line.Colour);
        }
    }

    /// <summary>Moves sorted positions so that neighbours are a distance apart and all lie within bounds, as little as that takes.</summary>
    internal static double[] Spread(double[] wanted, double distance, double from, double to)
    {
        double[] places = [.. wanted];
        for (int i = 0; i < places.Length; i++) places[i] = Math.Max(places[i], i == 0 ? from : places[i - 1] + distance);
        double limit = to;
        for (int i = places.Length - 1; i >= 0; i--)
        {
            places[i] = Math.Min(places[i], limit);
            limit = places[i] - distance;
        }

        return places;
    }

    private static string Unit(double micros) => micros switch
    {
        < 1000 => $"{micros:0} µs",
        < 1_000_000 => $"{micros / 1000:0} ms",
        _ => $"{micros / 1_000_000:0} s",
    };
}
