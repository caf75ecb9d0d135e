using System.Globalization;
using BenchmarkDotNet.Columns;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Engines;
using BenchmarkDotNet.Exporters;
using BenchmarkDotNet.Exporters.Json;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Loggers;
using BenchmarkDotNet.Reports;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;
using Downtime;
using Perfolizer.Mathematics.OutlierDetection;

const int QuickIterations = 10, FullIterations = 100;
if (args is not ([_] or [_, "--quick"]))
{
    Console.Error.WriteLine("usage: Downtime RESULTS-DIR [--quick]");
    return 2;
}

bool quick = args.Length == 2;
int[] wanted = quick ? [128, 512] : [128, 512, 2048, 8192];
// A full copy and a switch hold the memory twice; what is left over keeps the host alive.
long available = AvailableMiB() - 1024;
PauseBenchmarks.Sizes = [.. wanted.Where(size => 2L * size <= available)];
foreach (int size in wanted.Except(PauseBenchmarks.Sizes))
    Console.Error.WriteLine($"Downtime: left out {size} MiB: it needs {2 * size} MiB, the host has {available} MiB to spare");
if (PauseBenchmarks.Sizes.Count == 0) return 1;

// In this process: the product's own figures come from there, and nothing is generated or built in between.
Job job = Job.Default
    .WithToolchain(new InProcessEmitToolchain(TimeSpan.FromHours(1), logOutput: true))
    .WithStrategy(RunStrategy.Monitoring)
    .WithWarmupCount(2)
    .WithIterationCount(quick ? QuickIterations : FullIterations)
    .WithInvocationCount(1)
    .WithUnrollFactor(1)
    .WithOutlierMode(OutlierMode.DontRemove);
ManualConfig config = ManualConfig.CreateEmpty()
    .AddJob(job)
    .AddLogger(ConsoleLogger.Default)
    .AddColumn(TargetMethodColumn.Method)
    .AddColumnProvider(DefaultColumnProviders.Params)
    .AddColumn(PauseColumn.s_all)
    .AddColumn(StatisticColumn.Mean)
    .AddExporter(MarkdownExporter.GitHub, JsonExporter.Full)
    .WithArtifactsPath(Path.GetFullPath(args[0]));

Summary summary = BenchmarkRunner.Run<PauseBenchmarks>(config);
if (summary.HasCriticalValidationErrors || summary.Reports.Length == 0 || summary.Reports.Any(report => !report.Success)) return 1;
PauseSamples.WriteCsv(summary, Path.Combine(summary.ResultsDirectoryPath, "pauses.csv"));
Console.WriteLine($"results: {summary.ResultsDirectoryPath}");
return 0;

static long AvailableMiB()
{
    // proc_meminfo(5): MemAvailable, kB.
    string line = File.ReadLines("/proc/meminfo").First(l => l.StartsWith("MemAvailable:", StringComparison.Ordinal));
    return long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) / 1024;
}
