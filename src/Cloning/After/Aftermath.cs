using Cloning.Disks;
using Cloning.Instances;
using Cloning.Switch;

namespace Cloning.After;

/// <summary>What is left to do when the new OS runs.</summary>
internal static class Aftermath
{
    /// <summary>Makes the commit durable, throws the old state away, shortens the chain.</summary>
    public static void Run(Instance instance, SwitchResult switched, string lastLine)
    {
        instance.ManifestFile.SyncDirectory();
        instance.Committed.Set(); // guest flushes may complete from here on
        instance.ConsoleHub.Print(System.Text.Encoding.Latin1.GetBytes("\r\n" + lastLine));
        switched.OldMachine.Dispose();
        foreach (SystemDisk disk in switched.OldDisks) disk.CloseTop();
        Overlays.Delete(instance.Directory, switched.OldManifest, keep: instance.Manifest);
    }
}
