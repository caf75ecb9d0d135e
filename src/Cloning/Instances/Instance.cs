using Cloning.After;
using Cloning.Disks;
using Cloning.Isolation;
using CowMemory;
using Microsoft.Extensions.Logging;
using VirtioBlk.Store;
using VirtioBlk.Turns;
using Vmm.Machines;

namespace Cloning.Instances;

/// <summary>
/// What the user named: identity, console, disks. It *has* a machine, and moves from one to another (<c>Adopt</c>):
/// at a reboot in place, at a fork, at a switch.
/// </summary>
public sealed class Instance : IInstance, IDiskChains, IDisposable
{
    private readonly Lock _gate = new();
    private readonly SemaphoreSlim _oneReboot = new(1, 1);
    private readonly TaskCompletionSource _completion = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly DateTimeOffset _startedAt = DateTimeOffset.UtcNow;
    private BootWatch? _watch;
    private ReadyCommand? _readyCommand;
    private CancellationTokenSource? _reboot;
    private RebootReport? _lastReport;
    // What has been asked of it. Whether its OS is up is for the watch to say: see State.
    private InstanceState _state = InstanceState.Running;
    private readonly BackgroundTurns _turns;
    private bool _powerOffMeansReboot;
    private int _generation;

    private Instance(InstanceDirectory directory, InstanceConfig config, ILogger logger)
    {
        Directory = directory;
        Config = config;
        (SystemSlots, PersistentSlots) = (config.Slots(persistent: false), config.Slots(persistent: true));
        Log = new InstanceLog(logger);
        ManifestFile = new ManifestFile(directory);
        BackgroundTurns = _turns = new BackgroundTurns(DiskActivity, VirtioBlk.Turns.BackgroundTurns.IdleInterval);
        Upkeep = new ChainUpkeep(this, Log) { Turns = BackgroundTurns };
    }

    /// <inheritdoc/>
    public IConsole Console => ConsoleHub;

    /// <inheritdoc/>
    public Task Completion => _completion.Task;

    /// <summary>Keeps the chains short between reboots.</summary>
    internal ChainUpkeep Upkeep { get; }
    internal InstanceDirectory Directory { get; }
    internal InstanceConfig Config { get; }
    /// <summary>Where in the guest's order the system disks are.</summary>
    internal int[] SystemSlots { get; }
    /// <summary>Where in the guest's order the persistent disks are.</summary>
    internal int[] PersistentSlots { get; }
    internal InstanceLog Log { get; }
    internal ManifestFile ManifestFile { get; }
    /// <summary>Whether the manifest on disk is durable.</summary>
    internal CommitState Committed { get; } = new();
    internal KvmHost Host { get; private set; } = null!;
    internal ConsoleHub ConsoleHub { get; private set; } = null!;
    internal IReadOnlyList<RawDisk> PersistentDisks { get; private set; } = [];
    /// <summary>The machine the instance lives in.</summary>
    internal Machine Machine { get; private set; } = null!;
    internal SystemDisk[] Disks { get; private set; } = [];
    internal DiskManifest Manifest { get; private set; } = null!;
    internal RebootPhase? Phase { get; set; }
    /// <summary>The guest's use of the host's disks: the shadow, and what else can wait, looks at it.</summary>
    internal DiskActivity DiskActivity { get; } = DiskActivity.Create();
    /// <summary>Turns of what this process has to do that can wait. Set by tests alone.</summary>
    internal IDiskTurns BackgroundTurns { get; set; }
    internal int? ShadowPid { get; set; }
    internal IsolationReport? Isolation { get; set; }
    internal string? CancelReason { get; private set; }
    /// <summary>Whether the OS has come up since it was last booted.</summary>
    internal bool IsUp => _watch is { IsReady: true };
    private InstanceState State => _state == InstanceState.Running && !IsUp ? InstanceState.Booting : _state;
    internal bool IsStopping
    {
        get
        {
            lock (_gate) return _state is InstanceState.Stopping or InstanceState.Stopped;
        }
    }

    /// <summary>Opens everything an instance needs and builds its machine, with the kernel loaded; <see cref="Start"/> lets it run.</summary>
    /// <param name="directory">Its directory, which exists and is locked by the caller.</param>
    /// <param name="config">What it is to be.</param>
    /// <param name="loggers">Where it logs.</param>
    /// <exception cref="InstanceException">It cannot be started; one clear line.</exception>
    public static Instance Open(InstanceDirectory directory, InstanceConfig config, ILoggerFactory loggers)
    {
        Instance instance = new(directory, config, loggers.CreateLogger("instance"));
        try
        {
            instance.OpenAll();
            return instance;
        }
        catch (Exception e)
        {
            instance.Dispose();
            throw e as InstanceException ?? new InstanceException(e.Message, inner: e);
        }
    }

    /// <summary>Lets the guest run.</summary>
    public void Start()
    {
        Machine.Run();
        // What a process that was killed had not got to.
        Upkeep.Resume();
    }

    /// <inheritdoc/>
    public InstanceStatus Status()
    {
        lock (_gate)
        {
            return new InstanceStatus(Config.Name, State, Environment.ProcessId, _startedAt, _generation, Config.MemoryMiB,
                Config.Cpus, Phase, ShadowPid, Manifest.Chains.Select(chain => chain.Count).DefaultIfEmpty().Max(), _lastReport, Upkeep.Status,
                Isolation);
        }
    }

    /// <inheritdoc/>
    public async Task<RebootReport> RebootAsync(
        RebootRequest request, IProgress<RebootProgress> progress, CancellationToken cancellation)
    {
        RebootReport report = await RebootOnceAsync(request, progress, cancellation).ConfigureAwait(false);
        if (report.DiscardedPath is null) return report;
        // Who asked for it to be kept gets an answer when it is there. The next reboot may begin meanwhile.
        await Upkeep.Kept.ConfigureAwait(false);
        return Manifest.Kept is null ? report
            : report with { Reason = $"the discarded disk is not kept yet: {Upkeep.Status?.Problem ?? "another reboot came in between"}" };
    }

    private async Task<RebootReport> RebootOnceAsync(
        RebootRequest request, IProgress<RebootProgress> progress, CancellationToken cancellation)
    {
        if (!_oneReboot.Wait(0, CancellationToken.None)) throw new InstanceBusyException($"{Config.Name} is being rebooted already");
        using CancellationTokenSource linked = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        try
        {
            lock (_gate)
            {
                if (_state is InstanceState.Stopping or InstanceState.Stopped)
                    throw new InstanceBusyException($"{Config.Name} is stopping");
                if (request.Mode == RebootMode.InPlace) _state = InstanceState.Rebooting;
                _reboot = linked;
                CancelReason = null;
            }

            if (request.Mode == RebootMode.Background) await Upkeep.MakeRoomAsync(request.Timeout, linked.Token).ConfigureAwait(false);
            Upkeep.Pause();
            // A thread of its own: this blocks for as long as an OS takes to boot, which is not what the pool is for.
            RebootReport report = await Task.Factory.StartNew(
                () => request.Mode == RebootMode.InPlace
                    ? InPlaceReboot.Run(this, request, progress, linked.Token)
                    : new BackgroundReboot(this, request, progress).Run(linked.Token),
                CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default).ConfigureAwait(false);
            lock (_gate) _lastReport = report;
            return report;
        }
        catch (OperationCanceledException e)
        {
            throw new InstanceException(CancelReason ?? "cancelled", inner: e);
        }
        finally
        {
            lock (_gate)
            {
                _reboot = null;
                _powerOffMeansReboot = false;
                if (_state == InstanceState.Rebooting) _state = InstanceState.Running; // it never came to the reboot
            }

            Upkeep.Resume();
            Machine last = Machine;
            _oneReboot.Release();
            // A reboot in place that was given up has not made use of the end of the guest that it had asked for.
            if (last.Exited.IsCompleted) _ = Task.Run(() => OnGuestEnded(last, last.Exited.Result), CancellationToken.None);
        }
    }

    /// <inheritdoc/>
    public async Task<bool> StopAsync(bool force, TimeSpan timeout)
    {
        Machine machine;
        lock (_gate)
        {
            if (_state == InstanceState.Stopped) return true;
            _state = InstanceState.Stopping;
            GiveUpReboot("the instance was stopped");
        }

        // A fork or switch that is past its point of no return finishes first; the button is for whoever runs then.
        await _oneReboot.WaitAsync().ConfigureAwait(false);
        try
        {
            machine = Machine;
            if (force) machine.RequestPowerOff();
            else machine.PressPowerButton();
        }
        finally
        {
            _oneReboot.Release();
        }

        Task ended = await Task.WhenAny(Completion, Task.Delay(timeout)).ConfigureAwait(false);
        if (ended == Completion) return true;
        lock (_gate)
        {
            if (_state == InstanceState.Stopped) return true;
            _state = InstanceState.Running;
        }

        return false;
    }

    /// <summary>Stops the machine, makes the disks durable and gives everything back.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            _state = InstanceState.Stopped;
            GiveUpReboot("the instance was closed");
        }

        // Who is about to boot a guest that has just ended finishes, or finds it stopped.
        _oneReboot.Wait();
        _oneReboot.Release();
        Upkeep.Dispose();
        _readyCommand?.Dispose();
        _watch?.Dispose();
        ConsoleHub?.Connect(null);
        Machine?.Dispose();
        foreach (SystemDisk disk in Disks) disk.Close();
        foreach (RawDisk disk in PersistentDisks) disk.Dispose();
        ConsoleHub?.Dispose();
        ManifestFile.Dispose();
        Host?.Dispose();
        _turns.Dispose();
        DiskActivity.Dispose();
    }

    /// <summary>From now on the instance lives in another machine, with other disks.</summary>
    internal void Adopt(Machine machine, SystemDisk[] disks, DiskManifest manifest)
    {
        lock (_gate)
        {
            Disks = disks;
            Manifest = manifest;
        }

        Adopt(machine);
    }

    /// <summary>From now on the instance lives in another machine, whose disks are the ones it has.</summary>
    internal void Adopt(Machine machine)
    {
        lock (_gate)
        {
            Machine = machine;
            _generation++;
        }

        ConsoleHub.Connect(machine);
        machine.Exited.ContinueWith(exit => OnGuestEnded(machine, exit.Result), TaskScheduler.Default);
        Log.Adopted(_generation);
    }

    InstanceDirectory IDiskChains.Directory => Directory;

    SystemDisk[] IDiskChains.Disks => Disks;

    DiskManifest IDiskChains.Manifest => Manifest;

    void IDiskChains.Settle()
    {
        if (Committed.HasFailed) SettleManifest();
    }

    void IDiskChains.Release(KeptDisk kept)
    {
        KeptDisk[] left = [.. (Manifest.Kept ?? []).Where(other => other != kept)];
        DiskManifest manifest = Manifest with { Kept = left.Length > 0 ? left : null };
        ManifestFile.Replace(manifest);
        lock (_gate) Manifest = manifest;
    }

    void IDiskChains.Shorten(int index, SystemDisk disk)
    {
        DiskManifest manifest = Manifest with { Chains = [.. Manifest.Chains.Select((chain, i) => i == index ? disk.Layers : chain)] };
        ManifestFile.Replace(manifest);
        lock (_gate)
        {
            Disks = [.. Disks.Select((old, i) => i == index ? disk : old)];
            Manifest = manifest;
        }
    }

    /// <summary>The OS is up: it came up elsewhere.</summary>
    internal void CountAsUp() => _watch!.CountAsReady();

    /// <summary>What an earlier reboot could not undo or finish, because the host refused it then, is done now. Not beside a reboot.</summary>
    internal void SettleManifest()
    {
        // Not only synced: a host that has reported the failure of a sync may have forgotten what was to be synced.
        ManifestFile.Replace(Manifest);
        Committed.Set();
        Overlays.DeleteStrays(Directory, Manifest);
    }

    /// <summary>Ends the guest: by the power button within the limit, else by stopping it.</summary>
    /// <returns>What did not work out, or null.</returns>
    internal string? EndForReboot(ShutdownMode mode, TimeSpan limit, CancellationToken cancellation)
    {
        lock (_gate) _powerOffMeansReboot = true;
        return mode == ShutdownMode.Reset ? null : PowerDown.Run(Machine, ConsoleHub, _watch!.Ready, limit, cancellation);
    }

    /// <summary>Boots the instance on a new machine, in the place of the one it has.</summary>
    /// <param name="next">
    /// Built and loaded already: what can go wrong went wrong before the old one was touched. Owned from now on, also when this throws.
    /// </param>
    /// <exception cref="TimeoutException">The old one did not stop: it runs on.</exception>
    internal BootWatch BootAgain(Machine next)
    {
        Machine old = Machine;
        lock (_gate)
        {
            if (_state == InstanceState.Running) _state = InstanceState.Rebooting;
        }

        try
        {
            old.Pause(patient: true);
        }
        catch
        {
            next.Dispose();
            throw;
        }

        ConsoleHub.Connect(null);
        old.Dispose();
        lock (_gate) _powerOffMeansReboot = false;
        ConsoleHub.Channel.BeginAnew();
        Adopt(next);
        _watch = WatchBoot();
        lock (_gate)
        {
            if (_state == InstanceState.Rebooting) _state = InstanceState.Running;
        }

        next.Run();
        return _watch;
    }

    /// <summary>A machine with empty memory and the kernel loaded, as it is on the host now.</summary>
    internal Machine BuildMachine()
    {
        MemoryFile file = MemoryFile.Create($"bgkvm-{Config.Name}", MachineBuilder.MemoryBytes(Config));
        Machine machine = MachineBuilder.Build(Host, Config, file, MemoryView.Shared, Disks, PersistentDisks, ConsoleHub, DiskActivity);
        try
        {
            machine.Boot(MachineBuilder.BootSource(Config));
            return machine;
        }
        catch
        {
            machine.Dispose();
            throw;
        }
    }

    private void OpenAll()
    {
        DiskManifest manifest = ManifestFile.Exists ? ManifestFile.Read() : FirstManifest();
        // A process that was killed right after a commit has not got to this, and what the manifest before it names is about to go.
        ManifestFile.SyncDirectory();
        Overlays.DeleteStrays(Directory, manifest);
        _ = ShadowGroups.SweepAsync(new IsolationHost(), Config.Name);
        List<SystemDisk> disks = [];
        List<RawDisk> persistent = [];
        (Disks, PersistentDisks, Manifest) = ([], persistent, manifest);
        foreach (IReadOnlyList<Layer> chain in manifest.Chains)
        {
            disks.Add(SystemDisk.Open(Directory.Layers, chain));
            Disks = [.. disks];
        }

        foreach (DiskConfig disk in Config.PersistentDisks) persistent.Add(RawDisk.Open(disk.Path, readOnly: false, direct: disk.Direct));
        Host = KvmHost.Open();
        ConsoleHub = new ConsoleHub(Directory.ConsoleLog);
        ConsoleHub.Channel.RebootAsked = new GuestRequests(this).AskReboot;
        Adopt(BuildMachine());
        _watch = WatchBoot();
    }

    /// <summary>The first start: an overlay over each of the user's images, which are themselves never written.</summary>
    private DiskManifest FirstManifest()
    {
        // Without a manifest nothing in here belongs to anybody: a first start that was killed left it.
        if (System.IO.Directory.Exists(Directory.Layers)) System.IO.Directory.Delete(Directory.Layers, recursive: true);
        System.IO.Directory.CreateDirectory(Directory.Layers);
        List<IReadOnlyList<Layer>> chains = [];
        int number = 1;
        foreach ((int i, DiskConfig disk) in Config.SystemDisks.Index())
        {
            Layer[] chain = [new Layer(disk.Path, disk.Format)];
            if (!disk.ReadOnly)
            {
                SystemDisk below = SystemDisk.Open(Directory.Layers, chain);
                Layer overlay = new($"disk{i}-{number++:d6}-instance.qcow2", "qcow2");
                SystemDisk.CreateOverlay(Directory.Layers, chain, overlay, below.Device.LengthBytes);
                below.Close();
                chain = [.. chain, overlay];
            }

            chains.Add(chain);
        }

        DiskManifest manifest = new(DiskManifest.CurrentVersion, number, chains);
        ManifestFile.Replace(manifest);
        return manifest;
    }

    private BootWatch WatchBoot()
    {
        _readyCommand?.Dispose();
        _watch?.Dispose();
        ConsoleHub.Drain();
        long logStart = GuestLog.LengthOf(Directory.ConsoleLog);
        BootWatch watch = BootWatch.For(Config, ConsoleHub);
        watch.Ready.ContinueWith(
            _ =>
            {
                lock (_gate)
                {
                    // While it booted it did not hear the button.
                    if (_state == InstanceState.Stopping) Machine.PressPowerButton();
                }
            },
            TaskScheduler.Default);
        watch.Failed.ContinueWith(
            _ =>
            {
                if (!watch.IsReady) Log.BootFailed(watch.Failure!);
            },
            TaskScheduler.Default);
        _readyCommand = ReadyCommand.Of(Config, Directory, inShadow: false, logStart, watch.CountAsReady);
        return watch;
    }

    private void OnGuestEnded(Machine machine, MachineExit exit)
    {
        lock (_gate)
        {
            // An earlier machine of this instance, stopped by who moved away from it; or a reboot in place that waits for this.
            if (machine != Machine || _powerOffMeansReboot) return;
            Log.GuestEnded(exit.Detail);
            GiveUpReboot($"the instance's own guest ended meanwhile: {exit.Detail}");
        }

        _oneReboot.Wait();
        try
        {
            if (machine != Machine || _state == InstanceState.Stopped) return; // somebody has seen to it already
            if (exit.Kind == MachineExitKind.Reset && _state != InstanceState.Stopping)
            {
                BootAgain(BuildMachine());
                return;
            }

            lock (_gate) _state = InstanceState.Stopped;
            if (exit.Kind == MachineExitKind.Failed) _completion.TrySetException(new InstanceException(exit.Detail));
            else _completion.TrySetResult();
        }
        catch (Exception e)
        {
            // The guest rebooted itself onto a kernel that cannot be loaded: there is nothing left to run.
            _completion.TrySetException(new InstanceException($"{Config.Name} cannot boot again: {e.Message}", inner: e));
        }
        finally
        {
            _oneReboot.Release();
        }
    }

    private void GiveUpReboot(string reason)
    {
        if (_reboot is null) return;
        CancelReason = reason;
        _reboot.Cancel();
    }
}
