using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using BenchmarkDotNet.Attributes;

namespace Downtime.Baselines;

/// <summary>fork() of a C process with as much touched memory: what copy-on-write costs where page tables are copied.</summary>
/// <remarks>Not sealed, and public, because BenchmarkDotNet derives from it.</remarks>
[SuppressMessage("Design", "CA1001", Justification = "Stop disposes: BenchmarkDotNet calls it.")]
public class ForkBenchmarks
{
    private Process _process = null!;

    /// <summary>The process's memory.</summary>
    [ParamsSource(typeof(Plan), nameof(Plan.MemorySizes))]
    public int MemoryMiB { get; set; }

    [GlobalSetup]
    public void Start()
    {
        string program = Path.Combine(AppContext.BaseDirectory, "fork-baseline");
        using (Process compiler = Process.Start("gcc", ["-O2", "-Wall", "-o", program, Path.ChangeExtension(program, ".c")]))
        {
            compiler.WaitForExit();
            if (compiler.ExitCode != 0) throw new InvalidOperationException($"gcc ended with {compiler.ExitCode}");
        }

        _process = Process.Start(new ProcessStartInfo(program, [MemoryMiB.ToString(CultureInfo.InvariantCulture)])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
        })!;
        Ask(); // answers once all memory is touched
    }

    /// <summary>Until fork() has returned in the parent.</summary>
    [Benchmark]
    public long Fork() => PauseSamples.Add(nameof(Fork), MemoryMiB, cpus: 1, Ask());

    [GlobalCleanup]
    public void Stop()
    {
        _process.StandardInput.Close();
        _process.WaitForExit();
        _process.Dispose();
    }

    private long Ask()
    {
        _process.StandardInput.WriteLine();
        _process.StandardInput.Flush();
        string? answer = _process.StandardOutput.ReadLine();
        return answer is null
            ? throw new InvalidOperationException("the forking process ended")
            : long.Parse(answer, CultureInfo.InvariantCulture);
    }
}
