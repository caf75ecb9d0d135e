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
        Try(instance, instance.ManifestFile.SyncDirectory);
        instance.Committed.Set(); // guest flushes may complete from here on
        instance.ConsoleHub.Print(System.Text.Encoding.Latin1.GetBytes("\r\n" + lastLine));
        Try(instance, switched.OldMachine.Dispose);
        long discarded = 0;
        foreach (SystemDisk disk in switched.OldDisks)
        {
            Try(instance, () => discarded += disk.TopBytes);
            Try(instance, disk.CloseTop);
        }

        Try(instance, () => Overlays.Delete(instance.Directory, switched.OldManifest, keep: instance.Manifest));
        return discarded;
    }

    private static void Try(Instance instance, Action step)
    {
        try
        {
            step();
        }
        catch (Exception e)
        {
            instance.Log.AftermathFailed(e);
        }
    }
}
