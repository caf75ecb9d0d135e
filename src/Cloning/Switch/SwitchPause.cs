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
        Pause pause = new();
        try
        {
            MachineMove.Switch(
                old,
                prepared.Next,
                commit: () =>
                {
                    instance.Committed.Reset();
                    instance.ManifestFile.Commit();
                },
                committed: () =>
                {
                    // Whatever went wrong from here on, they are the instance's.
                    prepared.MarkSwitched();
                    next.MarkUsed();
                    // The persistent disk shows its real size; the guest finds out by a configuration-change interrupt.
                    for (int i = 0; i < instance.PersistentDisks.Count; i++)
                        prepared.Next.Disks[instance.PersistentSlots[i]].SetBackend(instance.PersistentDisks[i], notify: true);
                    instance.ConsoleHub.Channel.TakeOver(next.Announced);
                },
                pause);
        }
        catch
        {
            instance.Committed.Set();
            throw;
        }

        instance.Adopt(prepared.Next, next.Disks, prepared.NextManifest);
        instance.CountAsUp();
        return new SwitchResult(pause, old, oldDisks, oldManifest);
    }
}
