using Cloning.Instances;

namespace Cloning.Disks;

/// <summary>The overlay files of an instance: made before a fork, removed when nothing names them.</summary>
internal static class Overlays
{
    /// <summary>Makes an empty overlay over the chain of every writable system disk.</summary>
    /// <param name="directory">The instance.</param>
    /// <param name="below">The manifest to go on top of.</param>
    /// <param name="disks">The disks as they are open.</param>
    /// <param name="side">Whose it is, for the file name: <c>instance</c> or <c>shadow</c>.</param>
    /// <returns>The manifest with the overlays on top.</returns>
    public static DiskManifest Create(InstanceDirectory directory, DiskManifest below, SystemDisk[] disks, string side)
    {
        int number = below.NextLayer;
        List<IReadOnlyList<Layer>> chains = [.. below.Chains];
        try
        {
            for (int i = 0; i < disks.Length; i++)
            {
                if (disks[i].IsReadOnly) continue;
                Layer overlay = new($"disk{i}-{number++:d6}-{side}.qcow2", "qcow2");
                SystemDisk.CreateOverlay(directory.Layers, below.Chains[i], overlay, disks[i].Device.LengthBytes);
                chains[i] = [.. below.Chains[i], overlay];
            }
        }
        catch
        {
            Delete(directory, below with { Chains = chains }, keep: below);
            throw;
        }

        return below with { NextLayer = number, Chains = chains };
    }

    /// <summary>Opens the top layers that a manifest has beyond what is open already.</summary>
    public static SystemDisk[] Open(InstanceDirectory directory, SystemDisk[] below, DiskManifest manifest)
    {
        List<SystemDisk> opened = [];
        try
        {
            for (int i = 0; i < below.Length; i++)
                opened.Add(below[i].IsReadOnly ? below[i] : below[i].WithOverlay(directory.Layers, manifest.Chains[i][^1]));
            return [.. opened];
        }
        catch
        {
            foreach (SystemDisk disk in opened) disk.CloseTop();
            throw;
        }
    }

    /// <summary>Deletes the layer files that one manifest names and another does not.</summary>
    public static void Delete(InstanceDirectory directory, DiskManifest? unused, DiskManifest keep)
    {
        if (unused is null) return;
        foreach (Layer layer in unused.AllLayers.Except(keep.AllLayers))
            if (!Path.IsPathRooted(layer.Path)) File.Delete(Path.Combine(directory.Layers, layer.Path)); // never the user's image
    }

    /// <summary>Deletes every layer file that a manifest does not name: what a killed process, or an undo that failed, left behind.</summary>
    public static void DeleteStrays(InstanceDirectory directory, DiskManifest manifest)
    {
        HashSet<string> named = [.. manifest.AllLayers.Select(layer => layer.Path)];
        foreach (string file in Directory.EnumerateFiles(directory.Layers))
            if (!named.Contains(Path.GetFileName(file))) File.Delete(file);
    }
}
