using Cloning.Disks;
using Cloning.Instances;

namespace Cloning.Fork;

/// <summary>The clone pause: memory and system disks are frozen in the same moment, and the instance goes on in its fork.</summary>
internal static class ForkPause
{
    /// <summary>Forks.</summary>
    /// <exception cref="Exception">It did not work out; the instance runs on as before.</exception>
    public static Pause Run(Instance instance, ForkPreparation prepared)
    {
        Vmm.Machines.Machine old = instance.Machine;
        Pause pause = new();
        using (instance.ConsoleHub.HoldInput())
        {
            MachineMove.Run(old, prepared.Forked, prepared.State, whilePaused: static () => { }, pause);
            // Nothing writes the old top layers any more: the devices that did are suspended for good, the overlays are in use.
            foreach (SystemDisk disk in instance.Disks) disk.Freeze();
            prepared.MarkForked();
            instance.Adopt(prepared.Forked, prepared.ForkedDisks, prepared.ForkedManifest);
        }

        // Unmapping takes time with the memory's size, so it was not part of the pause; it must be over before the proof.
        old.Dispose();
        return pause;
    }
}
