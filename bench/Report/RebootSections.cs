using System.Globalization;
using Report.Svg;

namespace Report;

/// <summary>Reboots of operating systems in the layout of the paper's tables, and the timeline of one.</summary>
internal static class RebootSections
{
    /// <summary>Writes a timeline for each guest, and returns the text.</summary>
    internal static IEnumerable<string> Write(string folder, RebootMeasurement[] reboots)
    {
        yield return "## Reboots of operating systems";
        yield return "";
        yield return "Seconds, medians of the runs. *Own clock* is what bgkvm reports; *from outside* is the longest silence of the guest's console, " +
            "whose login prompt is asked all the time (in place: from the old system's last answer to the new one's first)." +
            (reboots.All(r => r.Host == "emulated") ? " All of it in the emulated machine of scripts/rig: times hold beside each other only." : "");
        yield return "";
        yield return "Downtime of a background reboot:";
        yield return "";
        MarkdownTable background = new("guest", "memory", "runs", "clone", "quiesce", "switch", "own clock", "clone, outside", "switch, outside", "longest outside", "asker stood still");
        MarkdownTable inPlace = new("guest", "memory", "runs", "own clock", "from outside");
        MarkdownTable reduction = new("guest", "memory", "own clock", "from outside, sum", "worst run, from outside");
        MarkdownTable resolution = new("guest", "memory", "asked every, ms", "answered within, p50 ms", "p99 ms", "max ms");
        foreach (RebootMeasurement r in reboots)
        {
            string memory = DowntimeReport.Size(r.MemoryMiB);
            background.Add(r.Guest, memory, $"{r.Background.Count}", Median(r.Background, b => b.CloneMicros), Median(r.Background, b => b.QuiesceMicros),
                Median(r.Background, b => b.SwitchMicros), Median(r.Background, b => b.DowntimeMicros), Median(r.Background, b => b.CloneSilenceMicros),
                Median(r.Background, b => b.SwitchSilenceMicros), Median(r.Background, b => b.LongestSilenceMicros), Median(r.Background, b => b.OwnStallMicros));
            inPlace.Add(r.Guest, memory, $"{r.InPlace.Count}", Median(r.InPlace, i => i.DowntimeMicros), Median(r.InPlace, i => i.SilenceMicros));
            long before = Percentiles.Of(r.InPlace.Select(i => i.DowntimeMicros)).P50, beforeOutside = Percentiles.Of(r.InPlace.Select(i => i.SilenceMicros)).P50;
            long[] outside = [.. r.Background.Select(b => b.CloneSilenceMicros + b.SwitchSilenceMicros)];
            reduction.Add(r.Guest, memory, Less(before, Percentiles.Of(r.Background.Select(b => b.DowntimeMicros)).P50),
                Less(beforeOutside, Percentiles.Of(outside).P50), Less(r.InPlace.Min(i => i.SilenceMicros), outside.Max()));
            resolution.Add(r.Guest, memory, Times.Millis(r.IntervalMicros), Times.Millis(r.Undisturbed.P50), Times.Millis(r.Undisturbed.P99), Times.Millis(r.Undisturbed.Max));
        }

        yield return background.ToString();
        yield return "Downtime of a reboot in place:";
        yield return "";
        yield return inPlace.ToString();
        yield return "Less downtime by:";
        yield return "";
        yield return reduction.ToString();
        yield return "What the measure from outside can resolve: answers while nothing happens:";
        yield return "";
        yield return resolution.ToString();
        foreach (RebootMeasurement r in reboots.GroupBy(r => r.Guest).Select(g => g.Last()))
        {
            string name = $"timeline-{r.Guest}";
            string title = $"A background reboot of {r.Guest}, {DowntimeReport.Size(r.MemoryMiB)}";
            File.WriteAllText(Path.Combine(folder, $"{name}.svg"), TimelineChart.Draw(title, r.Background[^1]));
            yield return $"![{title}]({name}.svg)";
            yield return "";
        }
    }

    private static string Median<T>(IEnumerable<T> runs, Func<T, long> micros) => Times.Seconds(Percentiles.Of(runs.Select(micros)).P50);

    private static string Less(long before, long after) =>
        (100 * (1 - ((double)after / before))).ToString("0.00", CultureInfo.InvariantCulture) + " %";
}
