using Cloning.Disks;
using Cloning.Instances;
using Cloning.Switch;

namespace Cloning.After;

/// <summary>What is left to do when the new OS runs.</summary>
internal static class Aftermath
{
    /// <summary>Makes the commit durable and throws the old state away. The new state is the instance: nothing here can undo that.</summary>
    /// <returns>Bytes that the old state had written to system disks since the fork.</returns>
    public static long Run(Instance instance, SwitchResult switched, string lastLine)
    {
        bool durable = instance.Log.Tidy(instance.ManifestFile.SyncDirectory);
        if (durable) instance.Committed.Set(); // guest flushes may complete from here on
        else instance.Committed.Fail();
        instance.ConsoleHub.Print(System.Text.Encoding.Latin1.GetBytes("\r\n" + lastLine));
        instance.Log.Tidy(switched.OldMachine.Dispose);
        long discarded = 0;
        foreach (SystemDisk disk in switched.OldDisks)
        {
            instance.Log.Tidy(() => discarded += disk.TopBytes);
            instance.Log.Tidy(disk.CloseTop);
        }

        // A power cut may bring the old manifest back, until ChainUpkeep or the next background reboot has made this one durable.
        if (durable) instance.Log.Tidy(() => Overlays.Delete(instance.Directory, switched.OldManifest, keep: instance.Manifest));
        return discarded;
    }
}
