using BenchmarkDotNet.Engines;
using BenchmarkDotNet.Reports;
using BenchmarkDotNet.Running;

namespace Downtime;

/// <summary>
/// The pauses as the product itself reports them, in the order of the iterations. BenchmarkDotNet's own figures time the whole call
/// beside them. Benchmarks run inside this process, so a static collection reaches from the iterations to the report.
/// </summary>
internal static class PauseSamples
{
    private static readonly Dictionary<(string Benchmark, int MemoryMiB), List<PauseSample>> s_taken = [];

    internal static void Add(string benchmark, int memoryMiB, PauseSample sample)
    {
        if (!s_taken.TryGetValue((benchmark, memoryMiB), out List<PauseSample>? samples))
            s_taken[(benchmark, memoryMiB)] = samples = [];
        samples.Add(sample);
    }

    /// <summary>Those of the iterations that count: jitting and warm-up come first and are left out. Empty if the benchmark failed.</summary>
    internal static PauseSample[] Of(Summary summary, BenchmarkCase benchmark)
    {
        int counted = summary[benchmark]?.AllMeasurements.Count(
            m => m is { IterationMode: IterationMode.Workload, IterationStage: IterationStage.Actual }) ?? 0;
        int memoryMiB = (int)benchmark.Parameters[nameof(PauseBenchmarks.MemoryMiB)];
        return counted > 0 && s_taken.TryGetValue((benchmark.Descriptor.WorkloadMethod.Name, memoryMiB), out List<PauseSample>? all)
            ? [.. all.TakeLast(counted)]
            : [];
    }

    /// <summary>Writes every counted sample, one a line.</summary>
    internal static void WriteCsv(Summary summary, string path)
    {
        using StreamWriter csv = new(path);
        csv.WriteLine("benchmark,memory_mib,iteration,pause_us,allocated_bytes");
        foreach (BenchmarkCase benchmark in summary.BenchmarksCases)
        {
            PauseSample[] samples = Of(summary, benchmark);
            for (int i = 0; i < samples.Length; i++)
            {
                csv.WriteLine($"{benchmark.Descriptor.WorkloadMethod.Name},{benchmark.Parameters[nameof(PauseBenchmarks.MemoryMiB)]},"
                    + $"{i + 1},{samples[i].Micros},{samples[i].AllocatedBytes}");
            }
        }
    }
}
