using System.Diagnostics.CodeAnalysis;
using BenchmarkDotNet.Attributes;
using Cloning;
using CowMemory;
using Pauses;
using Vmm.Machines;

namespace Downtime.Baselines;

/// <summary>What a clone would be without copy-on-write: all memory is copied while the guest stands still.</summary>
/// <remarks>Not sealed, and public, because BenchmarkDotNet derives from it.</remarks>
[SuppressMessage("Design", "CA1001", Justification = "GoBack and Stop dispose: BenchmarkDotNet calls them.")]
public class CopyBenchmarks
{
    private const int Chunk = 64 << 20;
    private KvmHost _host = null!;
    private WorkerMachine _running = null!;
    private WorkerMachine _next = null!;
    private MemoryFile _otherMemory = null!;
    private MachineState _state = null!;

    /// <summary>The guest's memory.</summary>
    [ParamsSource(typeof(Plan), nameof(Plan.MemorySizes))]
    public int MemoryMiB { get; set; }

    [GlobalSetup]
    public void Start()
    {
        _host = KvmHost.Open();
        _running = WorkerMachine.Started(_host, cpus: 1, (ulong)MemoryMiB << 20);
        _state = _running.Machine.NewState();
        // All its pages exist after the warm-up: this pays for copying only.
        _otherMemory = MemoryFile.Create("downtime-copy", _running.Machine.Memory.Layout.SizeBytes);
    }

    [IterationSetup]
    public void Prepare()
    {
        _next = new WorkerMachine(_host, cpus: 1, _otherMemory.Duplicate(), MemoryView.Shared);
        _running.AwaitCounting();
    }

    /// <summary>As the fork, but for what happens to memory.</summary>
    [Benchmark]
    public long FullCopy()
    {
        Pause pause = new();
        MachineMove.Run(_running.Machine, _next.Machine, _state, CopyAllMemory, pause);
        return PauseSamples.Add(nameof(FullCopy), MemoryMiB, cpus: 1, pause.Micros);
    }

    [IterationCleanup]
    public void GoBack()
    {
        _next.AwaitCounting();
        _next.Dispose();
        _running.Machine.Run();
    }

    [GlobalCleanup]
    public void Stop()
    {
        _running.Dispose();
        _otherMemory.Dispose();
        _host.Dispose();
    }

    private void CopyAllMemory()
    {
        GuestMemory from = _running.Machine.Memory, into = _next.Machine.Memory;
        foreach (GuestRegion region in from.Layout.Regions)
        {
            for (ulong at = 0; at < region.Length; at += Chunk)
            {
                int length = (int)Math.Min(Chunk, region.Length - at);
                Gpa address = region.Start + at;
                from.Read(address, length).CopyTo(into.Write(address, length));
            }
        }
    }
}
