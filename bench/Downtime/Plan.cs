using Downtime.Baselines;
using Downtime.Qemu;

namespace Downtime;

/// <summary>What can be measured, and what this run measures.</summary>
internal static class Plan
{
    /// <summary>The parts, by name: benchmarks of one class, which take about as long.</summary>
    internal static readonly IReadOnlyDictionary<string, Part> s_parts = new Dictionary<string, Part>
    {
        // Nothing is copied in these pauses, so many cycles are affordable.
        ["pauses"] = new(typeof(PauseBenchmarks), _ => 200),
        ["slot"] = new(typeof(SlotSwapBenchmarks), _ => 100),
        ["fork"] = new(typeof(ForkBenchmarks), _ => 50),
        // These take seconds each where memory is large.
        ["copy"] = new(typeof(CopyBenchmarks), memoryMiB => Math.Clamp(16384 / memoryMiB, 3, 30)),
        ["qemu"] = new(typeof(QemuBenchmarks), memoryMiB => Math.Clamp(8192 / memoryMiB, 3, 20)),
    };

    /// <summary>Guest memory, MiB.</summary>
    public static IReadOnlyList<int> MemorySizes { get; internal set; } = [];

    /// <summary>vCPUs.</summary>
    public static IReadOnlyList<int> CpuCounts { get; internal set; } = [];

    /// <summary>How many times the guest's memory a benchmark holds at once.</summary>
    internal static int MemoryHeld(string method) => method switch
    {
        nameof(PauseBenchmarks.Clone) or nameof(ForkBenchmarks.Fork) or nameof(SlotSwapBenchmarks.SlotSwap) or nameof(QemuBenchmarks.QemuHandOver) => 1,
        nameof(QemuBenchmarks.QemuRestore) or nameof(QemuBenchmarks.QemuPreloaded) => 3,
        _ => 2,
    };

    /// <summary>Benchmarks that belong together.</summary>
    /// <param name="Benchmarks">Their class.</param>
    /// <param name="Iterations">How many count, by MiB of guest memory.</param>
    internal sealed record Part(Type Benchmarks, Func<int, int> Iterations);
}
