using System.Text.Json;
using Xunit;

namespace Report.Tests;

/// <summary>An interference measurement becomes tables that are relative to running alone.</summary>
public sealed class InterferenceReportTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("bgkvm-report-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Everything_is_relative_to_what_was_alone_before_and_after_it_with_its_spread()
    {
        InterferenceCell[] cells =
        [
            Cell("random read", "none", 1000, 100), Cell("random read", "all", 950, 120), Cell("random read", "none", 1000, 100),
            Cell("CPU loop", "none", 50, null), Cell("CPU loop", "all", 49, null),
            Cell("random read", "none", 400, 200), Cell("random read", "all", 485, 312), Cell("random read", "none", 600, 280),
            Cell("random read", "none", 1000, 90), Cell("random read", "all", 990, 150), Cell("random read", "none", 1000, 110),
        ];
        ReadyTime[] ready = [new("alone", 10_000), new("alone", 12_000)];
        File.WriteAllText(
            Path.Combine(_folder, InterferenceReport.FileName),
            JsonSerializer.Serialize(new InterferenceMeasurement(["none", "no isolation", "all"], cells, ready), InterferenceJson.Default.InterferenceMeasurement));
        InterferenceReport.Write(_folder);

        string[] lines = [.. File.ReadAllLines(Path.Combine(_folder, "report.md")).Select(line => string.Join(' ', line.Split(' ', StringSplitOptions.RemoveEmptyEntries)))];
        Assert.Contains("| random read | 1000 | - | 97.0 (95.0–99.0) |", lines);
        Assert.Contains("| random read | 105 | - | 1.30 (1.20–1.50) |", lines);
        Assert.Contains("| CPU loop | 50 | - | 98.0 |", lines);
        Assert.Contains("| alone | 2 | 11.0 | 10.0 | 12.0 |", lines);
        Assert.Contains("no isolation", File.ReadAllText(Path.Combine(_folder, "throughput.svg")), StringComparison.Ordinal);
        Assert.DoesNotContain("CPU loop", File.ReadAllText(Path.Combine(_folder, "latency.svg")), StringComparison.Ordinal);
    }

    [Fact]
    public void A_part_of_it_has_a_colour_for_each_column_and_no_times_until_ready()
    {
        string[] shadows = ["none", .. Enumerable.Range(0, 9).Select(n => $"shadow {n}")]; // as many as there are
        File.WriteAllText(
            Path.Combine(_folder, InterferenceReport.FileName),
            JsonSerializer.Serialize(
                new InterferenceMeasurement(shadows, [.. shadows.Select(shadow => Cell("CPU loop", shadow, 50, null))], []),
                InterferenceJson.Default.InterferenceMeasurement));
        InterferenceReport.Write(_folder);

        IEnumerable<string> colours = File.ReadLines(Path.Combine(_folder, "throughput.svg")).Where(line => line.StartsWith("<rect x=", StringComparison.Ordinal))
            .Select(line => line.Split("fill=")[1]).Distinct();
        Assert.Equal(9, colours.Count());
        Assert.DoesNotContain("until ready", File.ReadAllText(Path.Combine(_folder, "report.md")), StringComparison.Ordinal);
    }

    private static InterferenceCell Cell(string workload, string shadow, double rate, long? p99) => new(workload, shadow, new InterferenceSample(rate, p99, p99));
}
