using Xunit.MicrosoftTestingPlatform;

namespace VirtioBlk.Store.Tests;

internal static class Program
{
    public static int Main(string[] args) => args switch
    {
        [CrashWriter.WriteArgument, var path, var seed] => CrashWriter.Write(path, int.Parse(seed)),
        [CrashWriter.MergeArgument, var path, var seed] => CrashWriter.Merge(path, int.Parse(seed)),
        _ => RunTests(args),
    };

    private static int RunTests(string[] args) =>
        TestPlatformTestFramework.RunAsync(args, SelfRegisteredExtensions.AddSelfRegisteredExtensions)
            .GetAwaiter().GetResult();
}
