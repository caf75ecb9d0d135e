using System.Diagnostics.CodeAnalysis;
using System.Text.Json.Nodes;
using BenchmarkDotNet.Attributes;
using Microsoft.Win32.SafeHandles;

namespace Downtime.Qemu;

/// <summary>
/// The same two jobs done by QEMU on the same host with the same memory, all touched: what freezes a running guest, and what puts
/// another one in its place. Times are those of QEMU's own events, from STOP to RESUME.
/// </summary>
/// <remarks>Not sealed, and public, because BenchmarkDotNet derives from it.</remarks>
[SuppressMessage("Design", "CA1001", Justification = "Stop disposes: BenchmarkDotNet calls it.")]
public class QemuBenchmarks
{
    private QemuMachine _running = null!;
    private QemuMachine? _next;
    // Where QEMU saves to, or its memory: a file in the host's memory, which goes with this process. No disk is in these figures.
    private SafeFileHandle _file = null!;

    /// <summary>The guest's memory.</summary>
    [ParamsSource(typeof(Plan), nameof(Plan.MemorySizes))]
    public int MemoryMiB { get; set; }

    [GlobalSetup(Targets = [nameof(QemuSave), nameof(QemuBackgroundSnapshot)])]
    public void Start()
    {
        _file = NamelessFile();
        _running = new QemuMachine(MemoryMiB);
    }

    [GlobalSetup(Targets = [nameof(QemuRestore), nameof(QemuPreloaded)])]
    public void StartAndSave()
    {
        Start();
        Save();
        _running.Qmp.Execute("cont");
    }

    [GlobalSetup(Target = nameof(QemuHandOver))]
    public void StartShared()
    {
        _file = NamelessFile();
        _running = new QemuMachine(MemoryMiB, FilePath);
        _running.Capability("x-ignore-shared");
    }

    [IterationSetup(Targets = [nameof(QemuSave), nameof(QemuBackgroundSnapshot)])]
    public void AwaitAlive() => _running.AwaitAlive();

    [IterationSetup(Target = nameof(QemuRestore))]
    public void PrepareRestore()
    {
        _running.AwaitAlive();
        _next = new QemuMachine(MemoryMiB, incoming: true);
    }

    [IterationSetup(Target = nameof(QemuPreloaded))]
    public void PrepareLoaded()
    {
        _running.AwaitAlive();
        _next = new QemuMachine(MemoryMiB, incoming: true);
        Load();
    }

    [IterationSetup(Target = nameof(QemuHandOver))]
    public void PrepareHandOver()
    {
        _running.AwaitAlive();
        _next = new QemuMachine(MemoryMiB, FilePath, incoming: true);
        _next.Capability("x-ignore-shared");
        _next.Qmp.Execute("migrate-incoming", new JsonObject { ["uri"] = $"unix:{_next.StateSocket}" });
    }

    /// <summary>Freeze: stop, everything into a file, go on.</summary>
    [Benchmark]
    public long QemuSave()
    {
        long stopped = Save();
        _running.Qmp.Execute("cont");
        return Taken(nameof(QemuSave), stopped, _running);
    }

    /// <summary>Freeze: the guest is stopped only while its memory is write-protected (userfaultfd); saving goes on behind its back.</summary>
    [Benchmark]
    public long QemuBackgroundSnapshot()
    {
        _running.Capability("background-snapshot");
        _running.Qmp.Execute("migrate", new JsonObject { ["uri"] = $"exec:cat >{FilePath}" });
        long stopped = _running.Qmp.Await("STOP").Micros;
        return Taken(nameof(QemuBackgroundSnapshot), stopped, _running);
    }

    /// <summary>Put in place: the old guest stops, a waiting QEMU reads the file and runs.</summary>
    [Benchmark]
    public long QemuRestore()
    {
        _running.Qmp.Execute("stop");
        long stopped = _running.Qmp.Await("STOP").Micros;
        Load();
        _next!.Qmp.Execute("cont");
        return Taken(nameof(QemuRestore), stopped, _next);
    }

    /// <summary>Put in place: a second QEMU has read the file before the old guest stops. Holds all memory twice.</summary>
    [Benchmark]
    public long QemuPreloaded()
    {
        _running.Qmp.Execute("stop");
        long stopped = _running.Qmp.Await("STOP").Micros;
        _next!.Qmp.Execute("cont");
        return Taken(nameof(QemuPreloaded), stopped, _next);
    }

    /// <summary>Put in place: memory is one file that both QEMUs map, only device state moves (x-ignore-shared). The best that QEMU can do.</summary>
    [Benchmark]
    public long QemuHandOver()
    {
        _running.Qmp.Execute("migrate", new JsonObject { ["uri"] = $"unix:{_next!.StateSocket}" });
        long stopped = _running.Qmp.Await("STOP").Micros;
        return Taken(nameof(QemuHandOver), stopped, _next);
    }

    [IterationCleanup(Target = nameof(QemuSave))]
    public void AfterSave() => _running.AwaitAlive();

    [IterationCleanup(Target = nameof(QemuBackgroundSnapshot))]
    public void AfterBackgroundSnapshot()
    {
        _running.Qmp.Await("MIGRATION completed");
        _running.AwaitAlive();
    }

    /// <summary>Back to the guest as it was: what took its place was good if it runs.</summary>
    [IterationCleanup(Targets = [nameof(QemuRestore), nameof(QemuPreloaded)])]
    public void GoBack()
    {
        _next!.AwaitAlive();
        _next.Dispose();
        _running.Qmp.Execute("cont");
    }

    [IterationCleanup(Target = nameof(QemuHandOver))]
    public void GoOnThere()
    {
        _next!.AwaitAlive();
        _running.Qmp.Await("MIGRATION completed");
        // Memory has one owner: the guest now lives there.
        _running.Dispose();
        _running = _next;
    }

    [GlobalCleanup]
    public void Stop()
    {
        _running.Dispose();
        _file.Dispose();
    }

    private string FilePath => $"/proc/{Environment.ProcessId}/fd/{_file.DangerousGetHandle()}";

    private static SafeFileHandle NamelessFile()
    {
        string path = $"/dev/shm/bgkvm-downtime-{Environment.ProcessId}";
        SafeFileHandle file = File.OpenHandle(path, FileMode.Create, FileAccess.ReadWrite, FileShare.ReadWrite);
        File.Delete(path);
        return file;
    }

    /// <returns>When it stopped.</returns>
    private long Save()
    {
        _running.Qmp.Execute("stop");
        long stopped = _running.Qmp.Await("STOP").Micros;
        _running.Qmp.Execute("migrate", new JsonObject { ["uri"] = $"exec:cat >{FilePath}" });
        _running.Qmp.Await("MIGRATION completed");
        // It does not go on before it has cleaned up, and sends no event about that.
        while (_running.Qmp.Execute("query-status")?["status"]?.GetValue<string>() == "finish-migrate") Thread.Yield();
        return stopped;
    }

    /// <summary>What comes out of the file was stopped when it was saved, and still is.</summary>
    private void Load()
    {
        _next!.Qmp.Execute("migrate-incoming", new JsonObject { ["uri"] = $"exec:cat {FilePath}" });
        _next.Qmp.Await("MIGRATION completed");
    }

    private long Taken(string method, long stopped, QemuMachine by) =>
        PauseSamples.Add(method, MemoryMiB, cpus: 1, by.Qmp.Await("RESUME").Micros - stopped);
}
