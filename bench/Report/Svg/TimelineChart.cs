namespace Report.Svg;

/// <summary>One background reboot along time: its phases, and below them how long the guest's console took from answer to answer.</summary>
public static class TimelineChart
{
    private const int Width = 1000, Height = 434, Left = 74, Right = 24, BarTop = 62, BarHeight = 24, PlotTop = 164, Bottom = 52, NameHeight = 15;
    private const double CharacterWidth = 6.9;
    private const string Grid = "#ddd", Answer = "#1f6fb4", Pausing = "#c0392b";
    private static readonly string[] s_colours = ["#dfe8f2", "#c9d8ea"];

    /// <summary>Draws it.</summary>
    /// <returns>SVG.</returns>
    public static string Draw(string title, BackgroundRun run)
    {
        double end = run.Answers[^1];
        double At(double micros) => Left + ((Width - Left - Right) * micros / end);
        (long At, long Silence)[] silences = [.. run.Answers.Skip(1).Select((at, i) => (at, at - run.Answers[i]))];
        Scale y = Scale.Decades(
            silences.Min(s => Math.Max(100, s.Silence)), silences.Max(s => s.Silence) * 1.2, Height - Bottom, PlotTop);

        SvgDocument svg = new(Width, Height);
        svg.Text(Left, 22, title, size: 16, bold: true);
        svg.Text(Left, 42, $"own clock: clone {Times.Text(run.CloneMicros)}, quiesce {Times.Text(run.QuiesceMicros)}, " +
            $"switch {Times.Text(run.SwitchMicros)}; from outside: longest silence {Times.Text(run.LongestSilenceMicros)}", colour: "#555");

        double[] rows = new double[4]; // where each row of names has come to
        for (int i = 0; i < run.Phases.Count; i++)
        {
            PhaseStart phase = run.Phases[i];
            double from = At(phase.AtMicros), to = At(i + 1 < run.Phases.Count ? run.Phases[i + 1].AtMicros : run.TotalMillis * 1000.0);
            bool pauses = phase.Name is "forking" or "switching";
            svg.Box(from, BarTop, Math.Max(to - from, 1.5), BarHeight, pauses ? Pausing : s_colours[i % 2]);
            // Names of short phases go below, one under the other where they would overlap.
            double width = phase.Name.Length * CharacterWidth, at = Math.Min(from, Width - Right - width);
            bool fits = to - from > width + 8;
            int row = fits ? 0 : Math.Max(0, Array.FindIndex(rows, end => end <= at));
            if (!fits) rows[row] = at + width + CharacterWidth;
            double y0 = fits ? BarTop + 16 : BarTop + BarHeight + ((row + 1) * NameHeight);
            svg.Text(fits ? from + 4 : at, y0, phase.Name, size: 11, colour: pauses ? Pausing : "#222");
        }

        foreach (double tick in y.Ticks())
        {
            svg.Line(Left, y[tick], Width - Right, y[tick], Grid);
            svg.Text(Left - 8, y[tick] + 4, Times.Text(tick), "end", size: 11);
        }

        double step = new[] { 1.0, 2, 5, 10, 20, 30, 60, 120 }.First(s => end / 1e6 / s <= 14);
        for (double second = 0; second * 1e6 <= end; second += step)
        {
            svg.Line(At(second * 1e6), Height - Bottom, At(second * 1e6), Height - Bottom + 5, "#555");
            svg.Text(At(second * 1e6), Height - Bottom + 19, $"{second:0} s", "middle", size: 11);
        }

        foreach ((long at, long silence) in silences) svg.Dot(At(at), y[Math.Max(100, silence)], 1.6, Answer);
        svg.Text(Width / 2.0, Height - 10, "since the request; each dot is an answer of the guest's console, at the time since the one before", "middle");
        return svg.ToString();
    }
}
