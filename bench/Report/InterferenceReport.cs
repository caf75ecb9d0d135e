using System.Globalization;
using System.Text.Json;
using Report.Svg;

namespace Report;

/// <summary>Puts an interference measurement together: tables, charts and the host.</summary>
public static class InterferenceReport
{
    /// <summary>What the measurement has left in its folder.</summary>
    public const string FileName = "interference.json";

    private static readonly string[] s_colours = ["#c0392b", "#d68910", "#7f6000", "#8e44ad", "#1f6fb4", "#5d8aa8", "#2e8b57", "#e377c2", "#a6a6a6"];

    /// <summary>Reads it, and writes <c>report.md</c>, <c>host.json</c> and charts beside it.</summary>
    /// <param name="folder">The measurement's folder.</param>
    public static void Write(string folder)
    {
        HostDescription host = HostDescription.Read();
        File.WriteAllText(Path.Combine(folder, "host.json"), JsonSerializer.Serialize(host, InterferenceJson.Default.HostDescription) + "\n");
        InterferenceMeasurement measured =
            JsonSerializer.Deserialize(File.ReadAllText(Path.Combine(folder, FileName)), InterferenceJson.Default.InterferenceMeasurement)!;
        string[] workloads = [.. measured.Cells.Select(cell => cell.Workload).Distinct()];
        // A software KVM runs no operating system: both guests were in the rig, whose one processor is emulated.
        (string where, string how) = host.Kvm == "hardware KVM" ? (host.Kvm, "Held to one processor") : ("emulated rig", "One emulated processor (scripts/rig)");
        List<string> text =
        [
            $"# Interference, {host.Date}, {where}", "",
            $"{how} on {host.Processor}, {host.Processors} processors; {host.Kernel}; commit {host.Commit}; load average when this was written {host.Load:0.0}. " +
            "How to read this: docs/benchmarks.md.", "",
            .. Section(folder, "throughput", "Throughput kept, % of running alone", "a shadow beside it", workloads, measured, sample => sample.Rate, 100),
            .. Section(folder, "latency", "Latency p99, times that of running alone", "a shadow beside it", workloads, measured, sample => sample.P99Micros, 1),
        ];
        if (measured.Ready.Count > 0) text.AddRange(TimesUntilReady(measured.Ready));
        File.WriteAllText(Path.Combine(folder, "report.md"), string.Join('\n', text).TrimEnd() + "\n");
    }

    private static IEnumerable<string> TimesUntilReady(IReadOnlyList<ReadyTime> measured)
    {
        MarkdownTable ready = new("background reboot", "runs", "median s", "least", "most");
        foreach (IGrouping<string, ReadyTime> times in measured.GroupBy(time => time.Name))
        {
            double[] seconds = [.. times.Select(time => time.Millis / 1000.0).Order()];
            ready.Add(times.Key, $"{seconds.Length}", Text(Spread.Median(seconds), "0.0"), Text(seconds[0], "0.0"), Text(seconds[^1], "0.0"));
        }

        return ["## Time until ready", "", ready.ToString()];
    }

    private static IEnumerable<string> Section(
        string folder, string name, string title, string subtitle, string[] workloads, InterferenceMeasurement measured,
        Func<InterferenceSample, double?> value, double unit)
    {
        string[] shadows = [.. measured.Shadows.Skip(1)];
        List<(string Workload, double?[] Medians)> groups = [];
        MarkdownTable table = new(["", "alone, median", .. shadows]);
        foreach (string workload in workloads)
        {
            double[] alone = Values(measured.Shadows[0]);
            if (alone.Length == 0) continue;
            double[][] kept = [.. shadows.Select(shadow => Kept(shadow).Select(v => v * unit).ToArray())];
            groups.Add((workload, [.. kept.Select(k => k.Length == 0 ? (double?)null : Spread.Median(k))]));
            string format = unit == 1 ? "0.00" : "0.0";
            table.Add([workload, Text(Spread.Median(alone), "0.#"), .. kept.Select(k => k.Length == 0 ? "-" : Spread.Text(k, format))]);

            double[] Values(string shadow) => [.. measured.Cells.Where(cell => cell.Workload == workload && cell.Shadow == shadow)
                .Select(cell => value(cell.Sample)).OfType<double>()];

            // Beside what was measured alone right before and right after: a host that others use is another one a minute later.
            IEnumerable<double> Kept(string shadow)
            {
                InterferenceCell[] cells = [.. measured.Cells.Where(cell => cell.Workload == workload)];
                for (int i = 0; i < cells.Length; i++)
                {
                    if (cells[i].Shadow != shadow || value(cells[i].Sample) is not { } kept) continue;
                    InterferenceCell?[] neighbours = [cells[..i].LastOrDefault(IsAlone), cells[i..].FirstOrDefault(IsAlone)];
                    yield return kept / neighbours.OfType<InterferenceCell>().Average(cell => value(cell.Sample)!.Value);
                }
            }

            bool IsAlone(InterferenceCell cell) => cell.Shadow == measured.Shadows[0];
        }

        yield return $"## {title}";
        yield return "";
        yield return $"![{title}]({name}.svg)";
        yield return "";
        yield return "Medians, each beside the runs alone right before and after it; in brackets the least and the most. The second column is the measured value itself: rounds or requests a second, or microseconds.";
        yield return "";
        yield return table.ToString();
        File.WriteAllText(Path.Combine(folder, $"{name}.svg"), BarChart.Draw(title, subtitle, unit,
            [.. shadows.Select((shadow, i) => (shadow, s_colours[i % s_colours.Length]))], groups));
    }

    private static string Text(double value, string format) => value.ToString(format, CultureInfo.InvariantCulture);
}
