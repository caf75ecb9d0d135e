using Cloning.After;
using Cloning.Disks;
using Cloning.Instances;
using Cloning.Shadow;
using CowMemory;
using Vmm.Machines;

namespace Cloning.Fork;

/// <summary>
/// Everything a background reboot needs, built while the guest runs: the shadow's process, the machine the instance forks
/// into, the machine it will switch to, the new memory, an overlay for either side. Disposing undoes what was not used.
/// </summary>
internal sealed class ForkPreparation : IDisposable
{
    private readonly Instance _instance;
    private readonly DiskManifest _before;
    private DiskManifest? _forkedOverlays, _nextOverlays;
    private bool _wasUp, _forked, _switched;

    private ForkPreparation(Instance instance)
    {
        _instance = instance;
        _before = instance.Manifest;
    }

    /// <summary>The shadow.</summary>
    public ShadowHandle Shadow { get; private set; } = null!;

    /// <summary>What the instance forks into: a private view of its own memory, its own overlay.</summary>
    public Machine Forked { get; private set; } = null!;

    /// <summary>Disks of <see cref="Forked"/>.</summary>
    public SystemDisk[] ForkedDisks { get; private set; } = [];

    /// <summary>Manifest that names them: committed already, because an empty overlay changes nothing.</summary>
    public DiskManifest ForkedManifest { get; private set; } = null!;

    /// <summary>What the instance switches to: shares the new memory with the shadow.</summary>
    public Machine Next { get; private set; } = null!;

    /// <summary>The manifest that the switch commits.</summary>
    public DiskManifest NextManifest { get; private set; } = null!;

    /// <summary>The state at the fork.</summary>
    public MachineState State { get; private set; } = null!;

    /// <summary>Memory of the instance at the fork, for the shadow.</summary>
    public MemoryFile Frozen { get; private set; } = null!;

    /// <summary>The rebooted OS's memory.</summary>
    public MemoryFile Fresh { get; private set; } = null!;

    /// <summary>Where the discarded disks are to be kept, or null.</summary>
    public string? DiscardedPath { get; private set; }

    /// <summary>Builds it all, or nothing.</summary>
    /// <param name="instance">The instance.</param>
    /// <param name="request">What is asked for.</param>
    /// <param name="started">Told of the shadow.</param>
    /// <param name="cancellation">Gives up the way back to shared memory, and waiting for the shadow to start.</param>
    /// <exception cref="Exception">The host lacks something; the message says what.</exception>
    public static ForkPreparation Make(
        Instance instance, RebootRequest request, Action<ShadowHandle> started, CancellationToken cancellation)
    {
        HostResources.Require(instance.Config, instance.Directory);
        instance.SettleManifest();
        Reshare.Now(instance, cancellation);
        ForkPreparation made = new(instance);
        try
        {
            made.Shadow = ShadowHandle.Start(instance.Config, instance.DiskActivity, request.Priority, cancellation);
            started(made.Shadow);
            if (request.KeepDiscarded is { } parent) made.DiscardedPath = DiscardedDisks.MakeDirectory(instance, parent);
            made.BuildMemoryAndMachines();
            return made;
        }
        catch
        {
            made.Dispose();
            throw;
        }
    }

    /// <summary>The instance lives in <see cref="Forked"/> now.</summary>
    public void MarkForked() => _forked = true;

    /// <summary>The instance lives in <see cref="Next"/> now.</summary>
    public void MarkSwitched() => _switched = true;

    /// <summary>After the pause: proves that memory is frozen, makes the frozen layers durable, and sends the shadow off.</summary>
    public void StartShadow(RebootRequest request)
    {
        Frozen.SealFrozen();
        // The shadow reads these layers from their files: what is still in this process's caches has to get there first.
        foreach (SystemDisk disk in ForkedDisks) disk.FlushBelowTop();
        Shadow.Send(
            new ShadowMessage.Begin(
                _instance.Config,
                NextManifest.Chains,
                State,
                _wasUp,
                request.Shutdown,
                request.ShutdownLimit,
                _instance.Directory.Layers,
                _instance.Directory.ShadowLog,
                _instance.Directory.ShadowConsoleSocket),
            Frozen.Fd,
            Fresh.Fd,
            _instance.DiskActivity.File.Fd);
        Frozen.Dispose();
    }

    /// <summary>Undoes what the reboot did not get to use, and ends the shadow.</summary>
    public void Dispose()
    {
        Shadow?.Dispose();
        Frozen?.Dispose();
        Fresh?.Dispose();
        if (_switched) return;
        InstanceLog log = _instance.Log;
        if (DiscardedPath is not null) log.Tidy(() => Directory.Delete(DiscardedPath));
        Next?.Dispose();
        log.Tidy(() => Overlays.Delete(_instance.Directory, _nextOverlays, keep: _before));
        if (_forked) return;
        Forked?.Dispose();
        foreach (SystemDisk disk in ForkedDisks) log.Tidy(disk.CloseTop);
        // Layers that the manifest on disk names must stay.
        if (ForkedManifest is null || log.Tidy(() => _instance.ManifestFile.Replace(_before)))
            log.Tidy(() => Overlays.Delete(_instance.Directory, _forkedOverlays, keep: _before));
    }

    private void BuildMemoryAndMachines()
    {
        Instance instance = _instance;
        ulong size = MachineBuilder.MemoryBytes(instance.Config);
        Frozen = instance.Machine.File.Duplicate();
        Fresh = MemoryFile.Create($"bgkvm-{instance.Config.Name}", size);
        State = instance.Machine.NewState();
        _wasUp = instance.IsUp;

        DiskManifest forked = Overlays.Create(instance.Directory, _before, instance.Disks, "instance");
        _forkedOverlays = forked;
        DiskManifest next = Overlays.Create(
            instance.Directory, _before with { NextLayer = forked.NextLayer }, instance.Disks, "shadow");
        _nextOverlays = NextManifest = next;
        if (DiscardedPath is not null)
            NextManifest = next with { Kept = [.. next.Kept ?? [], .. DiscardedDisks.In(DiscardedPath, forked)] };
        ForkedDisks = Overlays.Open(instance.Directory, instance.Disks, forked);

        Forked = MachineBuilder.Build(instance.Host, instance.Config, instance.Machine.File.Duplicate(), MemoryView.Private,
            ForkedDisks, instance.PersistentDisks, instance.ConsoleHub, instance.DiskActivity);
        // The next machine's disks are opened when the shadow has let go of them; until then these stand in, untouched.
        Next = MachineBuilder.Build(instance.Host, instance.Config, Fresh.Duplicate(), MemoryView.Shared,
            ForkedDisks, MachineBuilder.Sealed(instance.Config), instance.ConsoleHub, instance.DiskActivity);

        Forked.Rehearse(State);
        Next.Rehearse(State);

        // Before the fork, so that nothing the guest flushes after it can be missing from the manifest. Until the fork the
        // new overlays are empty, and the chain with them reads the same as the chain without.
        ForkedManifest = forked with { NextLayer = next.NextLayer };
        instance.ManifestFile.Replace(ForkedManifest);
    }
}
