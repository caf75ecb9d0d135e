using System.Diagnostics.CodeAnalysis;
using BenchmarkDotNet.Attributes;
using Cloning;
using Pauses;

namespace Downtime;

/// <summary>
/// The two pauses of a background reboot against memory size and vCPUs, at the level of KVM: no disks, all memory touched by the
/// guest. Each iteration is a <see cref="PauseCycle"/>.
/// </summary>
/// <remarks>Not sealed, and public, because BenchmarkDotNet derives from it.</remarks>
[SuppressMessage("Design", "CA1001", Justification = "Stop disposes: BenchmarkDotNet calls it.")]
public class PauseBenchmarks
{
    private PauseCycle _cycle = null!;

    /// <summary>The guest's memory.</summary>
    [ParamsSource(typeof(Plan), nameof(Plan.MemorySizes))]
    public int MemoryMiB { get; set; }

    /// <summary>The guest's vCPUs; all of them run.</summary>
    [ParamsSource(typeof(Plan), nameof(Plan.CpuCounts))]
    public int Cpus { get; set; }

    [GlobalSetup(Target = nameof(Clone))]
    public void StartForClone() => _cycle = new PauseCycle(PauseKind.Clone, Cpus, MemoryMiB);

    [GlobalSetup(Target = nameof(Switch))]
    public void StartForSwitch() => _cycle = new PauseCycle(PauseKind.Switch, Cpus, MemoryMiB);

    [IterationSetup]
    public void Prepare() => _cycle.Prepare();

    /// <summary>The fork: the guest goes on in a private copy-on-write view of the same memory.</summary>
    [Benchmark]
    public long Clone() => Taken(nameof(Clone));

    /// <summary>The switch: the old guest stops, one rename commits, the rebooted guest, loaded already, runs.</summary>
    [Benchmark]
    public long Switch() => Taken(nameof(Switch));

    [IterationCleanup]
    public void GoBack() => _cycle.GoBack();

    [GlobalCleanup]
    public void Stop() => _cycle.Dispose();

    private long Taken(string method)
    {
        Pause pause = new();
        _cycle.Take(pause);
        return PauseSamples.Add(method, MemoryMiB, Cpus, pause.Micros, pause.AllocatedBytes);
    }
}
