using System.Diagnostics;
using Cloning.After;
using Cloning.Instances;
using Microsoft.Extensions.Logging.Abstractions;

namespace Cloning.Tests.Disks;

/// <summary>The process that is killed: it writes to a disk whose chain is being shortened, and says what has been flushed.</summary>
internal static class UpkeepProcess
{
    public const string Verb = "upkeep";

    public static Process Start(string folder, int seed) =>
        Process.Start(new ProcessStartInfo(Environment.ProcessPath!, [Verb, folder, $"{seed}"]) { RedirectStandardOutput = true })!;

    public static int Run(string folder, int seed)
    {
        ChainRig chain = ChainRig.Open(folder);
        StampedWrites writes = new(seed, seed);
        ChainUpkeep upkeep = new(chain, new InstanceLog(NullLogger.Instance));
        Say("open");
        upkeep.Resume();
        while (true)
            if (writes.Next(chain.Disk.Device)) Say($"{writes.Last}");
    }

    private static void Say(string line)
    {
        Console.Out.WriteLine(line);
        Console.Out.Flush();
    }
}
