using Cloning.Disks;
using Cloning.Fork;
using Cloning.Instances;
using Cloning.Shadow;

namespace Cloning.Switch;

/// <summary>What is done with the rebooted state before anything is paused: by the time of the pause it only has to run.</summary>
internal sealed class SwitchPreparation : IDisposable
{
    private bool _used;

    private readonly Instance _instance;

    private SwitchPreparation(Instance instance, SystemDisk[] disks, bool announced) =>
        (_instance, Disks, Announced) = (instance, disks, announced);

    /// <summary>The rebooted OS's system disks, opened by this process.</summary>
    public SystemDisk[] Disks { get; }

    /// <summary>Whether the rebooted OS has said hello on the guest channel.</summary>
    public bool Announced { get; }

    /// <summary>Loads the shadow's state into the instance's next machine.</summary>
    public static SwitchPreparation Make(Instance instance, ForkPreparation prepared, ShadowMessage.Ready ready)
    {
        // Its end is the proof that nobody else writes the new memory or the overlay any more.
        prepared.Shadow.WaitGone();
        SystemDisk[] below = [.. prepared.ForkedDisks.Select(disk => disk.BelowTop())];
        SwitchPreparation made = new(instance, Overlays.Open(instance.Directory, below, prepared.NextManifest), ready.Announced);
        try
        {
            for (int i = 0; i < made.Disks.Length; i++)
                prepared.Next.Disks[instance.SystemSlots[i]].SetBackend(new CommitGate(made.Disks[i].Device, instance.Committed), notify: false);
            prepared.Next.Load(ready.State);
            prepared.Next.Memory.Populate(prepared.Next.File);
            instance.ManifestFile.Stage(prepared.NextManifest);
            return made;
        }
        catch
        {
            made.Dispose();
            throw;
        }
    }

    /// <summary>The disks belong to the instance from now on.</summary>
    public void MarkUsed() => _used = true;

    /// <summary>Closes the disks unless they are in use.</summary>
    public void Dispose()
    {
        if (_used) return;
        foreach (SystemDisk disk in Disks) _instance.Log.Tidy(disk.CloseTop);
        _instance.Log.Tidy(_instance.ManifestFile.Unstage);
    }
}
