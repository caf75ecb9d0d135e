using System.Globalization;
using BenchmarkDotNet.Columns;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Engines;
using BenchmarkDotNet.Filters;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Loggers;
using BenchmarkDotNet.Reports;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;
using Downtime;
using Perfolizer.Mathematics.OutlierDetection;
using Report;

// One part at one memory size, or the report of all that there are; scripts/bench goes through them.
const int QuickIterations = 10;
if (args is ["report", string folder])
{
    DowntimeReport.Write(folder);
    return 0;
}

if (args is not ([_, _, _] or [_, _, _, "--quick"]) || !Plan.s_parts.TryGetValue(args[0], out Plan.Part? part)
    || !int.TryParse(args[1], NumberStyles.None, CultureInfo.InvariantCulture, out int memoryMiB))
{
    Console.Error.WriteLine($"usage: Downtime {string.Join('|', Plan.s_parts.Keys)} MIB SAMPLES.csv [--quick]\n       Downtime report FOLDER");
    return 2;
}

bool quick = args.Length == 4;
int iterations = quick ? Math.Min(QuickIterations, part.Iterations(memoryMiB)) : part.Iterations(memoryMiB);
Plan.MemorySizes = [memoryMiB];
Plan.CpuCounts = quick ? [1, 2] : [1, 2, 4];

// In this process: samples reach the report from here, and nothing is generated or built in between.
Job job = Job.Default
    .WithToolchain(new InProcessEmitToolchain(TimeSpan.FromHours(1), logOutput: true))
    .WithStrategy(RunStrategy.Monitoring)
    .WithWarmupCount(Math.Min(3, iterations))
    .WithIterationCount(iterations)
    .WithInvocationCount(1)
    .WithUnrollFactor(1)
    .WithOutlierMode(OutlierMode.DontRemove);
// BenchmarkDotNet's own files are not kept: scripts/bench keeps what it prints.
string scratch = Directory.CreateTempSubdirectory("bgkvm-benchmarkdotnet-").FullName;
ManualConfig config = ManualConfig.CreateEmpty()
    .AddJob(job)
    .AddLogger(ConsoleLogger.Default)
    .AddColumn(TargetMethodColumn.Method)
    .AddColumnProvider(DefaultColumnProviders.Params)
    .AddColumn(PauseColumn.s_all)
    .AddColumn(StatisticColumn.Mean)
    .AddFilter(new SimpleFilter(benchmark => Fits(benchmark.Descriptor.WorkloadMethod.Name)))
    .WithArtifactsPath(scratch);

Summary summary = BenchmarkRunner.Run(part.Benchmarks, config);
Directory.Delete(scratch, recursive: true);
if (summary.HasCriticalValidationErrors || summary.Reports.Any(report => !report.Success)) return 1;
PauseSamples.WriteCsv(summary, args[2]);
return 0;

bool Fits(string method)
{
    // What is left over keeps the host alive.
    long needed = (long)memoryMiB * Plan.MemoryHeld(method), available = AvailableMiB() - 1024;
    if (needed > available)
        Console.Error.WriteLine($"Downtime: left out {method} at {memoryMiB} MiB: it needs {needed} MiB, the host has {available} MiB to spare");
    return needed <= available;
}

static long AvailableMiB()
{
    // proc_meminfo(5): MemAvailable, kB.
    string line = File.ReadLines("/proc/meminfo").First(l => l.StartsWith("MemAvailable:", StringComparison.Ordinal));
    return long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) / 1024;
}
