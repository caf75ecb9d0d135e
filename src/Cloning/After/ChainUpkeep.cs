using Cloning.Disks;
using Cloning.Instances;
using Kvm.Interop;
using VirtioBlk.Store;

namespace Cloning.After;

/// <summary>
/// Keeps the chains of the system disks short while the guest runs: every background reboot leaves a layer behind, and each but
/// the lowest of ours is merged into the one below it. At rest a chain is base, one merged layer, active layer.
/// </summary>
internal static class ChainUpkeep
{
    private const int RestDepth = 3;
    private const int LowestNice = 19, IoprioWhoProcess = 1, IoprioClassIdle = 3, IoprioClassShift = 13;

    /// <summary>Works until the chains are short. On a thread of its own, which it makes idle.</summary>
    /// <exception cref="OperationCanceledException">Stopped. The chains are sound; the next run starts over.</exception>
    public static void Run(Instance instance, CancellationToken cancellation)
    {
        _ = Libc.SetNice(0, LowestNice);
        _ = Libc.ioprio_set(IoprioWhoProcess, 0, IoprioClassIdle << IoprioClassShift);
        for (int i = 0; i < instance.Disks.Length; i++)
            while (!instance.Disks[i].IsReadOnly && instance.Disks[i].Layers.Count > RestDepth)
                MergeOne(instance, i, cancellation);
    }

    private static void MergeOne(Instance instance, int index, CancellationToken cancellation)
    {
        SystemDisk disk = instance.Disks[index];
        using (LayerMerge merge = disk.MergeBelowTop())
        {
            while (merge.Step()) cancellation.ThrowIfCancellationRequested();
            merge.Complete().Dispose();
        }

        // The manifest still names the merged layer, and may: the chain reads the same with it and without it. Its file goes last.
        Layer merged = disk.Layers[^2];
        instance.Shorten(index, disk.WithoutMerged());
        File.Delete(Path.Combine(instance.Directory.Layers, merged.Path));
    }
}
