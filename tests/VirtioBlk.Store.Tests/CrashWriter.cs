namespace VirtioBlk.Store.Tests;

internal static class CrashWriter
{
    public const string Argument = "crash-writer";

    public static int Run(string path, int seed) => path.Length + seed;
}
