using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using BenchmarkDotNet.Attributes;
using Cloning;
using Cloning.Disks;
using Cloning.Instances;
using CowMemory;
using Pauses;
using Vmm.Machines;

namespace Downtime;

/// <summary>
/// The two pauses of a background reboot against memory size, at the level of KVM: no disks, one vCPU, all memory touched by the
/// guest. Each iteration moves the running guest into a machine made beforehand, then goes back to where it was.
/// </summary>
/// <remarks>Not sealed, and public, because BenchmarkDotNet derives from it.</remarks>
[SuppressMessage("Design", "CA1001", Justification = "GoBack and Stop dispose: BenchmarkDotNet calls them.")]
public class PauseBenchmarks
{
    private const int CopyChunk = 64 << 20;
    private KvmHost _host = null!;
    private WorkerMachine _running = null!;
    private WorkerMachine _next = null!;
    private MemoryFile _otherMemory = null!;
    private MachineState _state = null!;
    private ManifestFile _manifest = null!;
    private string _directory = "";

    /// <summary>What to measure; main chooses.</summary>
    public static IReadOnlyList<int> Sizes { get; internal set; } = [];

    /// <summary>The guest's memory.</summary>
    [ParamsSource(nameof(Sizes))]
    public int MemoryMiB { get; set; }

    [GlobalSetup(Target = nameof(Clone))]
    public void StartForClone() => Start();

    [GlobalSetup(Target = nameof(FullCopy))]
    public void StartForFullCopy()
    {
        Start();
        // All its pages exist after the warm-up: the baseline pays for copying only.
        _otherMemory = MemoryFile.Create("downtime-copy", _running.Machine.Memory.Layout.SizeBytes);
    }

    [GlobalSetup(Target = nameof(Switch))]
    public void StartForSwitch()
    {
        Start();
        _directory = Directory.CreateTempSubdirectory("bgkvm-downtime-").FullName;
        _manifest = new ManifestFile(new InstanceDirectory(_directory));
        // What a shadow does: it brings a guest up in memory of its own and hands over memory and state.
        using WorkerMachine shadow = WorkerMachine.Started(_host, 1, _running.Machine.Memory.Layout.SizeBytes);
        shadow.Machine.Pause();
        shadow.Machine.Save(_state);
        _otherMemory = shadow.Machine.File.Duplicate();
    }

    [IterationSetup(Target = nameof(Clone))]
    public void PrepareClone() => Prepare(_running.Machine.File, MemoryView.Private);

    [IterationSetup(Target = nameof(FullCopy))]
    public void PrepareFullCopy() => Prepare(_otherMemory, MemoryView.Shared);

    [IterationSetup(Target = nameof(Switch))]
    public void PrepareSwitch()
    {
        Prepare(_otherMemory, MemoryView.Shared);
        _next.Machine.Load(_state);
        _manifest.Stage(new DiskManifest(DiskManifest.CurrentVersion, 1, [[new Layer("layer-1.qcow2", "qcow2")]]));
    }

    /// <summary>The fork: the guest goes on in a private copy-on-write view of the same memory.</summary>
    [Benchmark]
    public long Clone() =>
        Sampled(pause => MachineMove.Run(_running.Machine, _next.Machine, _state, whilePaused: static () => { }, pause));

    /// <summary>The switch: the old guest stops, one rename commits, the rebooted guest, loaded already, runs.</summary>
    [Benchmark]
    public long Switch() => Sampled(pause =>
    {
        pause.Begin();
        _running.Machine.Pause();
        if (_running.Machine.Exited.IsCompleted) throw new InvalidOperationException("the guest ended before the switch");
        _manifest.Commit();
        _next.Machine.Run();
        pause.EndsWith(_next.Machine);
    });

    /// <summary>What a clone would be without copy-on-write: all memory is copied while the guest stands still.</summary>
    [Benchmark(Baseline = true)]
    public long FullCopy() => Sampled(pause => MachineMove.Run(_running.Machine, _next.Machine, _state, CopyAllMemory, pause));

    /// <summary>Back to the guest as it was: what it became was good if it counts.</summary>
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
        _otherMemory?.Dispose();
        _manifest?.Dispose();
        _host.Dispose();
        if (_directory.Length > 0) Directory.Delete(_directory, recursive: true);
    }

    private void Start()
    {
        _host = KvmHost.Open();
        _running = WorkerMachine.Started(_host, 1, (ulong)MemoryMiB << 20);
        _state = _running.Machine.NewState();
    }

    private void Prepare(MemoryFile memory, MemoryView view)
    {
        _next = new WorkerMachine(_host, 1, memory.Duplicate(), view);
        _running.AwaitCounting();
    }

    private long Sampled(Action<Pause> pause, [CallerMemberName] string benchmark = "")
    {
        Pause taken = new();
        pause(taken);
        PauseSample sample = new(taken.Micros, taken.AllocatedBytes);
        PauseSamples.Add(benchmark, MemoryMiB, sample);
        return sample.Micros;
    }

    private void CopyAllMemory()
    {
        GuestMemory from = _running.Machine.Memory, into = _next.Machine.Memory;
        foreach (GuestRegion region in from.Layout.Regions)
        {
            for (ulong at = 0; at < region.Length; at += CopyChunk)
            {
                int length = (int)Math.Min(CopyChunk, region.Length - at);
                Gpa address = region.Start + at;
                from.Read(address, length).CopyTo(into.Write(address, length));
            }
        }
    }
}
