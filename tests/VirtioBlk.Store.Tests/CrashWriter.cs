using System.Diagnostics;

namespace VirtioBlk.Store.Tests;

/// <summary>The process that is killed: it writes, and says after each flush how many operations have been done.</summary>
internal static class CrashWriter
{
    public const string WriteArgument = "crash-writer";
    public const string MergeArgument = "crash-merger";

    public const int DiskBytes = 8 << 20;
    public const int ClusterBytes = 4096;

    /// <summary>Starts this executable as the writer.</summary>
    public static Process Start(string verb, string path, int seed) =>
        Process.Start(new ProcessStartInfo(Environment.ProcessPath!, [verb, path, $"{seed}"]) { RedirectStandardOutput = true })!;

    /// <summary>Writes for ever into the top of a chain.</summary>
    public static int Write(string path, int seed)
    {
        using IDiskLayer disk = DiskChain.Open(path, DiskFormat.Qcow2, readOnly: false);
        CrashWorkload workload = new(DiskBytes, ClusterBytes, seed);
        Say("open");
        for (int i = 1; ; i++)
        {
            if (workload.Next(disk)) Say($"{i}");
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
