namespace VirtioBlk.Store.Tests;

/// <summary>
/// How much the crash tests do: seconds' worth in a normal run; with BGKVM_CRASH_TEST=full (scripts/crash-test) what
/// docs/qcow2.md claims.
/// </summary>
internal static class CrashScale
{
    private static readonly bool s_full = Environment.GetEnvironmentVariable("BGKVM_CRASH_TEST") == "full";

    /// <summary>Writers to kill.</summary>
    public static int WriterKills => s_full ? 800 : 16;

    /// <summary>Mergers to kill.</summary>
    public static int MergerKills => s_full ? 200 : 1;

    /// <summary>Writes to the host file in a workload that is cut after each of them.</summary>
    public static int Writes => s_full ? 10_000 : 300;

    /// <summary>Says what a full run has done.</summary>
    public static void Report(string line)
    {
        if (s_full) Console.Error.WriteLine(line);
    }
}
