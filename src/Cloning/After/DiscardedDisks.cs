using System.Globalization;
using Cloning.Disks;
using Cloning.Instances;
using Kvm.Interop;
using VirtioBlk.Store;

namespace Cloning.After;

/// <summary>
/// Keeps what a background reboot discards, when asked to. The discarded layer needs the layers below it, and those are about to
/// change as the new chain is merged. So everything in it that is not in the user's own image is copied into one qcow2 file over
/// that image, before anything is merged; until then the manifest names it, so that a crash loses nothing.
/// </summary>
internal static class DiscardedDisks
{
    private const string Unfinished = ".part";

    /// <summary>Makes the directory that a reboot's discarded disks are kept in.</summary>
    /// <param name="instance">The instance.</param>
    /// <param name="parent">Where to make it; empty for the instance's own directory.</param>
    public static string MakeDirectory(Instance instance, string parent)
    {
        string name = $"{instance.Config.Name}-{DateTime.UtcNow.ToString("yyyyMMdd'T'HHmmss.fff'Z'", CultureInfo.InvariantCulture)}";
        string path = Path.Combine(parent.Length > 0 ? parent : instance.Directory.Discarded, name);
        Directory.CreateDirectory(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        return path;
    }

    /// <summary>What a manifest has to name for the chains that are about to be discarded.</summary>
    public static IReadOnlyList<KeptDisk> In(string directory, DiskManifest discarded) =>
        [.. discarded.Chains.Index().Where(chain => chain.Item.Count > 1)
            .Select(chain => new KeptDisk(Path.Combine(directory, $"disk{chain.Index}.qcow2"), chain.Item))];

    /// <summary>Copies one. A directory that is gone means that nobody wants it any more.</summary>
    /// <param name="layers">The instance's layer directory.</param>
    /// <param name="kept">Which.</param>
    /// <param name="step">Told of every step; false to stop.</param>
    /// <returns>Whether it is done.</returns>
    public static bool TryCopy(string layers, KeptDisk kept, Func<ChainCopy, bool> step)
    {
        string directory = Path.GetDirectoryName(kept.File)!;
        if (!Directory.Exists(directory)) return true;
        // A copy gets its name when it is finished: only the manifest was not told.
        if (!File.Exists(kept.File) && !TryCopyAnew(layers, kept, step)) return false;
        Libc.SyncDirectoryOf(kept.File);
        return true;
    }

    private static bool TryCopyAnew(string layers, KeptDisk kept, Func<ChainCopy, bool> step)
    {
        string unfinished = kept.File + Unfinished;
        File.Delete(unfinished);
        SystemDisk disk = SystemDisk.Open(layers, kept.Layers, readOnly: true);
        try
        {
            Layer image = kept.Layers[0];
            Qcow2Image.Create(unfinished, disk.Device.LengthBytes, image.Path, DiskFormats.Parse(image.Format));
            using Qcow2Image target = Qcow2Image.Open(unfinished, readOnly: false, disk.Base, ownsBacking: false);
            using ChainCopy copy = new(disk.TopLayer, target, stop: disk.Base);
            do
            {
                if (!step(copy)) return false;
            }
            while (copy.Step());
        }
        finally
        {
            disk.Close();
        }

        File.Move(unfinished, kept.File);
        return true;
    }
}
