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
using Perfolizer.Mathematics.OutlierDetection;
using Store;

// One call an iteration: a disk is frozen once.
Job job = Job.Default
    .WithToolchain(new InProcessEmitToolchain(TimeSpan.FromHours(1), logOutput: true))
    .WithStrategy(RunStrategy.Monitoring)
    .WithWarmupCount(3)
    .WithIterationCount(50)
    .WithInvocationCount(1)
    .WithUnrollFactor(1)
    .WithOutlierMode(OutlierMode.DontRemove);
ManualConfig config = ManualConfig.CreateEmpty()
    .AddJob(job)
    .AddLogger(ConsoleLogger.Default)
    .AddColumn(TargetMethodColumn.Method)
    .AddColumnProvider(DefaultColumnProviders.Params)
    .AddColumn(StatisticColumn.Median, StatisticColumn.P95, StatisticColumn.Max)
    .AddExporter(MarkdownExporter.GitHub, JsonExporter.Full)
    .WithArtifactsPath(Path.GetFullPath(args is [var path] ? path : "artifacts/bench/store"));

Summary summary = BenchmarkRunner.Run<FreezeBenchmarks>(config);
return summary.HasCriticalValidationErrors || summary.Reports.Any(report => !report.Success) ? 1 : 0;
