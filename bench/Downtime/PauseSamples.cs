using BenchmarkDotNet.Engines;
using BenchmarkDotNet.Parameters;
using BenchmarkDotNet.Reports;
using BenchmarkDotNet.Running;

namespace Downtime;

/// <summary>
/// The pauses themselves, in the order of the iterations. BenchmarkDotNet's own figures time the whole call beside them. Benchmarks
/// run inside this process, so a static collection reaches from the iterations to the report.
/// </summary>
internal static class PauseSamples
{
    private static readonly Dictionary<(string Method, int MemoryMiB, int Cpus), List<PauseSample>> s_taken = [];

    /// <summary>Keeps one.</summary>
    /// <returns>Its length, microseconds.</returns>
    internal static long Add(string method, int memoryMiB, int cpus, long micros, long? allocatedBytes = null)
    {
        if (!s_taken.TryGetValue((method, memoryMiB, cpus), out List<PauseSample>? samples))
            s_taken[(method, memoryMiB, cpus)] = samples = [];
        samples.Add(new PauseSample(micros, allocatedBytes));
        return micros;
    }

    /// <summary>Those of the iterations that count: jitting and warm-up come first and are left out. Empty if the benchmark failed.</summary>
    internal static PauseSample[] Of(Summary summary, BenchmarkCase benchmark)
    {
        int counted = summary[benchmark]?.AllMeasurements.Count(
            m => m is { IterationMode: IterationMode.Workload, IterationStage: IterationStage.Actual }) ?? 0;
        return counted > 0 && s_taken.TryGetValue(Key(benchmark), out List<PauseSample>? all) ? [.. all.TakeLast(counted)] : [];
    }

    /// <summary>Writes every counted sample, one a line. <c>Report.PauseTable</c> reads this.</summary>
    internal static void WriteCsv(Summary summary, string path)
    {
        using StreamWriter csv = new(path);
        csv.WriteLine("method,memory_mib,vcpus,iteration,pause_us,allocated_bytes");
        foreach (BenchmarkCase benchmark in summary.BenchmarksCases)
        {
            (string method, int memoryMiB, int cpus) = Key(benchmark);
            PauseSample[] samples = Of(summary, benchmark);
            for (int i = 0; i < samples.Length; i++)
                csv.WriteLine($"{method},{memoryMiB},{cpus},{i + 1},{samples[i].Micros},{samples[i].AllocatedBytes}");
        }
    }

    private static (string Method, int MemoryMiB, int Cpus) Key(BenchmarkCase benchmark)
    {
        ParameterInstances given = benchmark.Parameters;
        int cpus = given.Items.Any(p => p.Name == nameof(PauseBenchmarks.Cpus)) ? (int)given[nameof(PauseBenchmarks.Cpus)] : 1;
        return (benchmark.Descriptor.WorkloadMethod.Name, (int)given[nameof(PauseBenchmarks.MemoryMiB)], cpus);
    }
}
