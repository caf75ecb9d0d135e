using System.Globalization;
using System.Text;
using System.Text.Json;

namespace Disk;

/// <summary>All measurements of a run, and the tables made of them.</summary>
internal sealed class Samples
{
    private static readonly JsonSerializerOptions s_json = new(JsonSerializerDefaults.Web) { WriteIndented = true };

    private readonly IReadOnlyList<FioJob> _jobs;
    private readonly IReadOnlyList<string> _contenders;
    private readonly Dictionary<(FioJob Job, string Contender), List<double>> _samples = [];

    /// <summary>Creates an empty set.</summary>
    /// <param name="jobs">The rows.</param>
    /// <param name="contenders">The columns: bgkvm first, the others are QEMU's.</param>
    public Samples(IReadOnlyList<FioJob> jobs, IReadOnlyList<string> contenders)
    {
        (_jobs, _contenders) = (jobs, contenders);
        foreach (FioJob job in jobs)
        {
            foreach (string contender in contenders) _samples[(job, contender)] = [];
        }
    }

    /// <summary>Adds one.</summary>
    public void Add(FioJob job, string contender, double requestsPerSecond) =>
        _samples[(job, contender)].Add(requestsPerSecond);

    /// <summary>The table, in Markdown: medians of requests a second, and the ratio to the better of QEMU's.</summary>
    public string Table()
    {
        StringBuilder table = new($"| requests/s, median | {string.Join(" | ", _contenders)} | bgkvm / best QEMU | of the fastest |\n|---|");
        table.Insert(table.Length, "--:|", _contenders.Count + 2).Append('\n');
        foreach (FioJob job in _jobs)
        {
            table.Append(CultureInfo.InvariantCulture, $"| {job.Name} |");
            foreach (string contender in _contenders) table.Append(CultureInfo.InvariantCulture, $" {Median(_samples[(job, contender)]):0} |");
            table.Append(CultureInfo.InvariantCulture, $" {Ratio(job, Median):0.00} | {Ratio(job, Enumerable.Max):0.00} |\n");
        }

        return table.ToString();
    }

    /// <summary>Writes report.md and report.json.</summary>
    /// <param name="folder">Where to.</param>
    /// <param name="quick">Whether it was the short form.</param>
    /// <param name="emulated">Whether the host is the emulated one.</param>
    public void Write(string folder, bool quick, bool emulated)
    {
        string cpu = File.ReadLines("/proc/cpuinfo").First(line => line.StartsWith("model name", StringComparison.Ordinal)).Split(": ")[1];
        string host = $"{(emulated ? "rig, emulated" : "hardware KVM")}: {cpu}, {Environment.ProcessorCount} CPU, "
            + $"Linux {File.ReadAllText("/proc/sys/kernel/osrelease").Trim()}";
        int repetitions = _samples.Values.First().Count;
        File.WriteAllText(Path.Combine(folder, "report.md"), string.Create(
            CultureInfo.InvariantCulture,
            $"""
            # Disks beside QEMU's{(quick ? ", quick" : "")}

            {DateTime.UtcNow:yyyy-MM-dd}, {host}. `scripts/bench disk{(quick ? " --quick" : "")}`, {repetitions} repetitions, interleaved.

            {Table()}
            """));
        File.WriteAllText(Path.Combine(folder, "report.json"), JsonSerializer.Serialize(new
        {
            Date = DateTime.UtcNow,
            Host = host,
            Quick = quick,
            Figures = _jobs.Select(job => new
            {
                job.Name,
                RequestsPerSecond = _contenders.ToDictionary(contender => contender, contender => _samples[(job, contender)]),
                Ratio = Ratio(job, Median),
                RatioOfFastest = Ratio(job, Enumerable.Max),
            }),
        }, s_json));
    }

    /// <summary>bgkvm's figure by QEMU's best.</summary>
    private double Ratio(FioJob job, Func<IEnumerable<double>, double> figure) =>
        figure(_samples[(job, _contenders[0])]) / _contenders.Skip(1).Max(contender => figure(_samples[(job, contender)]));

    private static double Median(IEnumerable<double> samples)
    {
        double[] sorted = [.. samples.Order()];
        return (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
    }
}
