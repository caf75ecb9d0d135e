using Cloning.Disks;
using Cloning.Fork;
using Cloning.Instances;
using Vmm.Machines;

namespace Cloning.Switch;

/// <summary>The switch pause: the old OS stops for good, one rename commits the new state, the new OS runs.</summary>
internal static class SwitchPause
{
    /// <summary>Switches.</summary>
    /// <exception cref="Exception">Nothing was committed; the instance runs on as before.</exception>
    public static SwitchResult Run(Instance instance, ForkPreparation prepared, SwitchPreparation next)
    {
        Machine old = instance.Machine;
        SystemDisk[] oldDisks = instance.Disks;
        DiskManifest oldManifest = instance.Manifest;
        Pause pause = Pause.Begin();
        old.Pause();
        try
        {
            if (old.Exited.IsCompleted) throw new InvalidOperationException("the instance's own guest ended before the switch");
            instance.Committed.Reset();
            instance.ManifestFile.Commit();
        }
        catch
        {
            instance.Committed.Set();
            old.Run();
            throw;
        }

        // The persistent disk shows its real size; the guest finds out by a configuration-change interrupt.
        for (int i = 0; i < instance.PersistentDisks.Count; i++)
            prepared.Next.Disks[instance.PersistentSlots[i]].SetBackend(instance.PersistentDisks[i], notify: true);
        instance.ConsoleHub.Channel.BeginAnew(next.Announced);
        prepared.Next.Run();
        pause.EndsWith(prepared.Next);

        prepared.MarkSwitched();
        next.MarkUsed();
        instance.Adopt(prepared.Next, next.Disks, prepared.NextManifest);
        return new SwitchResult(pause, old, oldDisks, oldManifest);
    }
}
