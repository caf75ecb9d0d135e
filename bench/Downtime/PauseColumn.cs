using System.Globalization;
using BenchmarkDotNet.Columns;
using BenchmarkDotNet.Reports;
using BenchmarkDotNet.Running;

namespace Downtime;

/// <summary>A column over <see cref="PauseSamples"/>.</summary>
internal sealed class PauseColumn(string name, string legend, Func<PauseSample, long?> value, double rank) : IColumn
{
    /// <summary>p50, p95, p99 and the maximum of the pause, and what it allocated.</summary>
    internal static readonly IColumn[] s_all =
    [
        new PauseColumn("Pause p50 [us]", "Pause, median, microseconds", s => s.Micros, 0.50),
        new PauseColumn("p95 [us]", "Pause, 95th percentile (nearest rank)", s => s.Micros, 0.95),
        new PauseColumn("p99 [us]", "Pause, 99th percentile (nearest rank)", s => s.Micros, 0.99),
        new PauseColumn("Max [us]", "The longest pause", s => s.Micros, 1),
        new PauseColumn("Allocated [B]", "Most that the pausing thread allocated on the managed heap in a pause", s => s.AllocatedBytes, 1),
    ];

    public string Id => $"{nameof(PauseColumn)}.{name}";
    public string ColumnName => name;
    public bool AlwaysShow => true;
    public ColumnCategory Category => ColumnCategory.Custom;
    public int PriorityInCategory => Array.IndexOf(s_all, this);
    public bool IsNumeric => true;
    public UnitType UnitType => UnitType.Dimensionless;
    public string Legend => legend;

    public bool IsAvailable(Summary summary) => true;
    public bool IsDefault(Summary summary, BenchmarkCase benchmarkCase) => false;

    public string GetValue(Summary summary, BenchmarkCase benchmarkCase)
    {
        long[] sorted = [.. PauseSamples.Of(summary, benchmarkCase).Select(value).OfType<long>().Order()];
        if (sorted.Length == 0) return "-";
        int index = Math.Max((int)Math.Ceiling(rank * sorted.Length) - 1, 0);
        return sorted[index].ToString(CultureInfo.InvariantCulture);
    }

    public string GetValue(Summary summary, BenchmarkCase benchmarkCase, SummaryStyle style) => GetValue(summary, benchmarkCase);
}
