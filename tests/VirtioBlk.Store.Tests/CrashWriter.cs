using System.Diagnostics;

namespace VirtioBlk.Store.Tests;

/// <summary>
/// The process that is killed: it writes, and says after each flush how many operations have been done.
/// </summary>
internal static class CrashWriter
{
    public const string WriteArgument = "crash-writer";
    public const string MergeArgument = "crash-merger";

    public const int DiskBytes = 8 << 20;
    public const int ClusterBytes = 4096;

    private const int OperationsPerFork = 40;
    private const int MaxForks = 4;

    /// <summary>Starts this executable as the writer.</summary>
    public static Process Start(string verb, string path, int seed) =>
        Process.Start(new ProcessStartInfo(Environment.ProcessPath!, [verb, path, $"{seed}"])
        {
            RedirectStandardOutput = true,
        })!;

    /// <summary>
    /// Writes for ever into the top of a chain. Every so often it forks: the top is frozen and gets an overlay, to
    /// which writing goes on at once, while another thread flushes the frozen layer.
    /// </summary>
    public static int Write(string path, int seed)
    {
        IDiskLayer disk = DiskChain.Open(path, DiskFormat.Qcow2, readOnly: false);
        CrashWorkload workload = new(DiskBytes, ClusterBytes, seed);
        Say("open");
        for (int i = 1; ; i++)
        {
            if (workload.Next(disk)) Say($"{i}");
            if (i % OperationsPerFork != 0 || i / OperationsPerFork > MaxForks) continue;
            IDiskLayer frozen = disk;
            string overlay = $"{path}.{i / OperationsPerFork}";
            // Left by one that was killed before it had told anybody.
            File.Delete(overlay);
            Qcow2Image.Create(overlay, DiskBytes, frozen.Path, DiskFormat.Qcow2, ClusterBytes);
            disk = Qcow2Image.Open(overlay, readOnly: false, frozen);
            frozen.Freeze();
            Say($"fork {overlay}");
            new Thread(frozen.Flush).Start();
        }
    }

    /// <summary>Merges the layer under the top into the one below it, while it writes.</summary>
    public static int Merge(string path, int seed)
    {
        using Qcow2Image top = (Qcow2Image)DiskChain.Open(path, DiskFormat.Qcow2, readOnly: false);
        CrashWorkload workload = new(DiskBytes, ClusterBytes, seed);
        string middle = top.Backing is Qcow2Image { Backing: not null } image ? image.Path : "";
        Say("open");
        using LayerMerge? merge = middle.Length > 0 ? new LayerMerge(top) : null;
        bool merging = merge is not null;
        for (int i = 1; ; i++)
        {
            if (workload.Next(top)) Say($"{i}");
            if (!merging || (merging = merge!.Step())) continue;
            merge.Complete().Dispose();
            File.Delete(middle);
        }
    }

    private static void Say(string line)
    {
        Console.Out.WriteLine(line);
        Console.Out.Flush();
    }
}
