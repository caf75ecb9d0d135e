namespace Report.Svg;

/// <summary>Groups of bars, one bar for each of the same few things in every group, and a line where nothing would be lost.</summary>
public static class BarChart
{
    private const int Width = 1000, Height = 400, Left = 60, Right = 180, Top = 60, Bottom = 50, LegendHeight = 20;
    private const double Gap = 0.25; // of a group's width

    /// <summary>Draws it.</summary>
    /// <param name="title">Above it.</param>
    /// <param name="subtitle">Smaller, below the title.</param>
    /// <param name="level">Where the line is.</param>
    /// <param name="bars">Names and colours.</param>
    /// <param name="groups">Names, and the length of each bar or null where there is none.</param>
    /// <returns>SVG.</returns>
    public static string Draw(
        string title, string subtitle, double level, IReadOnlyList<(string Name, string Colour)> bars, IReadOnlyList<(string Name, double?[] Values)> groups)
    {
        double most = groups.SelectMany(group => group.Values).OfType<double>().Append(level).Max() * 1.1;
        double Y(double value) => Height - Bottom - ((Height - Bottom - Top) * value / most);
        SvgDocument svg = new(Width, Height);
        svg.Text(Left, 24, title, size: 16, bold: true);
        svg.Text(Left, 43, subtitle, colour: "#555");
        double step = new[] { 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000 }.FirstOrDefault(s => most / s <= 8, most / 5);
        for (double tick = 0; tick <= most; tick += step)
        {
            svg.Line(Left, Y(tick), Width - Right, Y(tick), "#ddd");
            svg.Text(Left - 8, Y(tick) + 4, FormattableString.Invariant($"{tick:0.#}"), "end");
        }

        double groupWidth = (Width - Left - Right) / (double)Math.Max(1, groups.Count), barWidth = groupWidth * (1 - Gap) / bars.Count;
        for (int g = 0; g < groups.Count; g++)
        {
            double x = Left + (groupWidth * (g + (Gap / 2)));
            for (int b = 0; b < bars.Count; b++)
                if (groups[g].Values[b] is { } value) svg.Box(x + (b * barWidth), Y(value), barWidth * 0.9, Y(0) - Y(value), bars[b].Colour);
            svg.Text(Left + (groupWidth * (g + 0.5)), Height - Bottom + 20, groups[g].Name, "middle");
        }

        svg.Line(Left, Y(level), Width - Right, Y(level), "#222", 1.5, "6 4");
        for (int b = 0; b < bars.Count; b++)
        {
            svg.Box(Width - Right + 20, Top + (b * LegendHeight), 12, 12, bars[b].Colour);
            svg.Text(Width - Right + 38, Top + (b * LegendHeight) + 11, bars[b].Name);
        }

        return svg.ToString();
    }
}
