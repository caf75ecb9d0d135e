using System.Globalization;
using System.Text;
using System.Text.Json;

namespace Disk;

/// <summary>All measurements of a run, and the tables made of them.</summary>
internal sealed class Samples
{
    private static readonly JsonSerializerOptions s_json = new(JsonSerializerDefaults.Web) { WriteIndented = true };

    private readonly IReadOnlyList<FioJob> _jobs;
    private readonly IReadOnlyList<string> _monitors;
    private readonly Dictionary<(FioJob Job, string Monitor), List<double>> _samples = [];

    /// <summary>Creates an empty set.</summary>
    /// <param name="jobs">The rows.</param>
    /// <param name="monitors">The columns: bgkvm first, the others are QEMU's.</param>
    public Samples(IReadOnlyList<FioJob> jobs, IReadOnlyList<string> monitors)
    {
        (_jobs, _monitors) = (jobs, monitors);
        foreach (FioJob job in jobs)
        {
            foreach (string monitor in monitors) _samples[(job, monitor)] = [];
        }
    }

    /// <summary>Adds one.</summary>
    public void Add(FioJob job, string monitor, double requestsPerSecond) =>
        _samples[(job, monitor)].Add(requestsPerSecond);

    /// <summary>A row of the table.</summary>
    public string Line(FioJob job)
    {
        StringBuilder line = new($"| {job.Name} |");
        foreach (string monitor in _monitors) line.Append(CultureInfo.InvariantCulture, $" {Median(job, monitor):0} |");
        return line.Append(CultureInfo.InvariantCulture, $" {Ratio(job):0.00} |").ToString();
    }

    /// <summary>Writes report.md and report.json.</summary>
    public void Write(string folder)
    {
        StringBuilder table = new($"| requests/s, median | {string.Join(" | ", _monitors)} | bgkvm / best QEMU |\n|---|");
        table.Insert(table.Length, "--:|", _monitors.Count + 1).Append('\n');
        foreach (FioJob job in _jobs) table.Append(Line(job)).Append('\n');
        File.WriteAllText(Path.Combine(folder, "report.md"), table.ToString());
        File.WriteAllText(Path.Combine(folder, "report.json"), JsonSerializer.Serialize(
            _jobs.Select(job => new
            {
                job.Name,
                Samples = _monitors.ToDictionary(monitor => monitor, monitor => _samples[(job, monitor)]),
                Ratio = Ratio(job),
            }), s_json));
    }

    private double Ratio(FioJob job) => Median(job, _monitors[0]) / _monitors.Skip(1).Max(monitor => Median(job, monitor));

    private double Median(FioJob job, string monitor)
    {
        double[] sorted = [.. _samples[(job, monitor)].Order()];
        return (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
    }
}
