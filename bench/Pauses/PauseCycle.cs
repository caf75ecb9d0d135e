using Cloning;
using Cloning.Disks;
using Cloning.Instances;
using CowMemory;
using Vmm.Machines;

namespace Pauses;

/// <summary>
/// The two pauses of a background reboot, taken again and again: a running guest is moved into a machine made beforehand, seen to
/// run there, and taken back to where it was.
/// </summary>
internal sealed class PauseCycle : IDisposable
{
    private readonly KvmHost _host = KvmHost.Open();
    private readonly WorkerMachine _running;
    private readonly MachineState _state;
    private readonly ManifestFile? _manifest;
    private readonly MemoryFile? _rebooted;
    private readonly string _directory = "";
    private readonly bool _populate;
    private WorkerMachine _next = null!;

    /// <summary>Starts a guest and has it write to all its memory; for switches, a second one, which stands for the rebooted OS.</summary>
    /// <param name="kind">Which pause.</param>
    /// <param name="cpus">vCPUs.</param>
    /// <param name="memoryMiB">Memory.</param>
    /// <param name="populate">Whether the next machine's page tables are filled beforehand; null for what the product does.</param>
    internal PauseCycle(PauseKind kind, int cpus, int memoryMiB, bool? populate = null)
    {
        (Kind, _populate) = (kind, populate ?? kind == PauseKind.Switch);
        ulong bytes = (ulong)memoryMiB << 20;
        _running = WorkerMachine.Started(_host, cpus, bytes);
        _state = _running.Machine.NewState();
        if (kind != PauseKind.Switch) return;
        _directory = Directory.CreateTempSubdirectory("bgkvm-pauses-").FullName;
        _manifest = new ManifestFile(new InstanceDirectory(_directory));
        using WorkerMachine shadow = WorkerMachine.Started(_host, cpus, bytes);
        shadow.Machine.Pause();
        shadow.Machine.Save(_state);
        _rebooted = shadow.Machine.File.Duplicate();
    }

    internal PauseKind Kind { get; }

    /// <summary>The guest before the pause.</summary>
    internal WorkerMachine Running => _running;

    /// <summary>The guest after it.</summary>
    internal WorkerMachine Next => _next;

    /// <summary>Makes what the pause will need, while the guest runs.</summary>
    internal void Prepare()
    {
        bool forking = Kind == PauseKind.Clone;
        MemoryFile memory = (forking ? _running.Machine.File : _rebooted!).Duplicate();
        _next = new WorkerMachine(_host, _running.Machine.Spec.Cpus, memory, forking ? MemoryView.Private : MemoryView.Shared);
        if (!forking)
        {
            _next.Machine.Rehearse(_next.Machine.NewState());
            _next.Machine.Load(_state);
            _manifest!.Stage(new DiskManifest(DiskManifest.CurrentVersion, 1, [[new Layer("layer-1.qcow2", "qcow2")]]));
        }
        else
        {
            _next.Machine.Rehearse(_state);
        }

        if (_populate) _next.Machine.Memory.Populate(_next.Machine.File);
        _running.AwaitCounting();
    }

    /// <summary>The pause itself.</summary>
    internal void Take(Pause pause)
    {
        if (Kind == PauseKind.Clone)
        {
            MachineMove.Run(_running.Machine, _next.Machine, _state, whilePaused: static () => { }, pause);
            return;
        }

        MachineMove.Switch(_running.Machine, _next.Machine, _manifest!.Commit, committed: static () => { }, pause);
    }

    /// <summary>Back to the guest as it was: what it became was good if it counts.</summary>
    internal void GoBack()
    {
        _next.AwaitCounting();
        _next.Dispose();
        _running.Machine.Run();
    }

    /// <summary>Stops the guest between two cycles, so that it takes nothing from another one.</summary>
    internal void Rest() => _running.Machine.Pause();

    /// <summary>Lets it go on.</summary>
    internal void Wake() => _running.Machine.Run();

    /// <inheritdoc/>
    public void Dispose()
    {
        _running.Dispose();
        _rebooted?.Dispose();
        _manifest?.Dispose();
        _host.Dispose();
        if (_directory.Length > 0) Directory.Delete(_directory, recursive: true);
    }
}
