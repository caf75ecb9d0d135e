using System.Text.Json;
using System.Text.Json.Serialization;
using Report.Svg;

namespace Report;

/// <summary>Puts a downtime measurement together: tables, charts and the host, from what its parts have left in a folder.</summary>
public static class DowntimeReport
{
    private const string Clone = "Clone", Switch = "Switch";

    /// <summary>The methods, in the report's order: which job they do, how they are called, and the colour of their line.</summary>
    private static readonly (string Method, bool Freezes, string Label, string Colour)[] s_methods =
    [
        (Clone, true, "bgkvm clone", "#c0392b"),
        ("SlotSwap", true, "memory slots swapped", "#d68910"),
        ("Fork", true, "fork() of a process", "#1f6fb4"),
        ("QemuBackgroundSnapshot", true, "QEMU background snapshot", "#2e8b57"),
        ("QemuSave", true, "QEMU stop, save, go on", "#8e44ad"),
        ("FullCopy", true, "full copy", "#7f6000"),
        (Switch, false, "bgkvm switch", "#c0392b"),
        ("QemuHandOver", false, "QEMU, memory shared", "#1f6fb4"),
        ("QemuPreloaded", false, "QEMU, loaded before", "#2e8b57"),
        ("QemuRestore", false, "QEMU stop, load, run", "#8e44ad"),
    ];

    /// <summary>Reads <c>samples/*.csv</c>, <c>after/*.csv</c>, <c>reboots/*.json</c> and <c>host.json</c>, and writes <c>report.md</c>, <c>report.json</c> and charts.</summary>
    /// <param name="folder">A measurement's folder.</param>
    public static void Write(string folder)
    {
        HostDescription host = ReadOrDescribe(Path.Combine(folder, "host.json"));
        PauseTable pauses = PauseTable.Read(Files(folder, "samples", "*.csv"));
        RebootMeasurement[] reboots = [.. Files(folder, "reboots", "*.json")
            .Select(path => JsonSerializer.Deserialize(File.ReadAllText(path), RebootMeasurementJson.Default.RebootMeasurement)!)
            .OrderBy(r => r.Guest, StringComparer.Ordinal).ThenBy(r => r.MemoryMiB)];
        List<string> text = [$"# Downtime, {host.Date}, {host.Kvm}", "", .. Describe(host), ""];
        if (pauses.MemorySizes.Count > 0) text.AddRange(PauseSections(folder, host, pauses));
        text.AddRange(AfterSection.Write(Files(folder, "after", "*.csv")));
        if (reboots.Length > 0) text.AddRange(RebootSections.Write(folder, reboots));
        File.WriteAllText(Path.Combine(folder, "report.md"), string.Join('\n', text).TrimEnd() + "\n");
        DowntimeResult result = new(host, Rows(pauses), reboots.Select(r => r with
        {
            // The table has no use for every single answer; the measurement's own file keeps them.
            Background = [.. r.Background.Select(run => run with { Answers = [] })],
        }));
        File.WriteAllText(Path.Combine(folder, "report.json"), JsonSerializer.Serialize(result, DowntimeResultJson.Default.DowntimeResult) + "\n");
    }

    private static IEnumerable<string> Describe(HostDescription host) =>
    [
        $"{host.Processor}, {host.Processors} processors, {host.MemoryMiB} MiB; {host.Kernel}, {host.Kvm}; {host.Runtime}; QEMU {host.Qemu}; " +
        $"commit {host.Commit}; load average at the start {host.Load:0.0}. How to read this: docs/benchmarks.md.",
    ];

    private static IEnumerable<string> PauseSections(string folder, HostDescription host, PauseTable pauses)
    {
        string subtitle = $"median, 1 vCPU, {host.Kvm}, {host.Date}";
        foreach ((bool freezes, string name, string title) in new[]
            { (true, "clone", "Freezing a running guest: how long it stands still"), (false, "switch", "Putting another guest in its place: how long nothing runs") })
        {
            (string Method, bool, string Label, string Colour)[] methods = [.. s_methods.Where(m => m.Freezes == freezes)];
            Series[] series = [.. methods.Select(m => new Series(m.Label, m.Colour, pauses.Medians(m.Method), Dashed: m.Method is not (Clone or Switch)))];
            yield return $"## {title}";
            yield return "";
            if (series.Any(s => s.Points.Count > 0))
            {
                File.WriteAllText(Path.Combine(folder, $"{name}.svg"), MemoryChart.Draw(title, subtitle, series));
                yield return $"![{title}]({name}.svg)";
                yield return "";
            }

            yield return "Median and, in brackets, the longest, 1 vCPU:";
            yield return "";
            MarkdownTable table = new(["", .. pauses.MemorySizes.Select(Size)]);
            foreach ((string method, _, string label, _) in methods)
            {
                string[] cells = [.. pauses.MemorySizes.Select(m => pauses.Of(method, m) is { } p ? $"{Times.Text(p.P50)} ({Times.Text(p.Max)})" : "-")];
                if (cells.Any(c => c != "-")) table.Add([label, .. cells]);
            }

            yield return table.ToString();
        }

        yield return "## The two pauses in full";
        yield return "";
        yield return "Microseconds:";
        yield return "";
        MarkdownTable full = new("pause", "memory", "vCPUs", "cycles", "p50", "p95", "p99", "max");
        foreach (string method in new[] { Clone, Switch })
        {
            foreach (int memory in pauses.MemorySizes)
            {
                foreach (int cpus in pauses.CpuCounts(method))
                {
                    if (pauses.Of(method, memory, cpus) is { } p)
                        full.Add(method.ToLowerInvariant(), Size(memory), $"{cpus}", $"{p.Count}", $"{p.P50}", $"{p.P95}", $"{p.P99}", $"{p.Max}");
                }
            }
        }

        yield return full.ToString();
    }

    private static IEnumerable<PauseRow> Rows(PauseTable pauses) =>
        from m in s_methods
        from memory in pauses.MemorySizes
        from cpus in pauses.CpuCounts(m.Method)
        let p = pauses.Of(m.Method, memory, cpus)
        where p is not null
        select new PauseRow(m.Method, memory, cpus, p);

    private static HostDescription ReadOrDescribe(string path)
    {
        if (!File.Exists(path))
            File.WriteAllText(path, JsonSerializer.Serialize(HostDescription.Read(), DowntimeResultJson.Default.HostDescription) + "\n");
        return JsonSerializer.Deserialize(File.ReadAllText(path), DowntimeResultJson.Default.HostDescription)!;
    }

    private static string[] Files(string folder, string part, string pattern) =>
        Directory.Exists(Path.Combine(folder, part)) ? [.. Directory.GetFiles(Path.Combine(folder, part), pattern).Order(StringComparer.Ordinal)] : [];

    internal static string Size(int memoryMiB) => memoryMiB < 1024 ? $"{memoryMiB} MiB" : $"{memoryMiB / 1024} GiB";
}

/// <summary>What <c>report.json</c> holds.</summary>
/// <param name="Host">The host.</param>
/// <param name="Pauses">Pauses at the level of KVM, microseconds.</param>
/// <param name="Reboots">Reboots of operating systems.</param>
internal sealed record DowntimeResult(HostDescription Host, IEnumerable<PauseRow> Pauses, IEnumerable<RebootMeasurement> Reboots);

/// <summary>One combination.</summary>
internal sealed record PauseRow(string Method, int MemoryMiB, int Cpus, Percentiles Micros);

/// <summary>How reports become files.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true)]
[JsonSerializable(typeof(DowntimeResult))]
[JsonSerializable(typeof(HostDescription))]
internal sealed partial class DowntimeResultJson : JsonSerializerContext;
