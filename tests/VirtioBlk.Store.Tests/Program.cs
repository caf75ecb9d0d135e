using Xunit.MicrosoftTestingPlatform;

namespace VirtioBlk.Store.Tests;

internal static class Program
{
    public static int Main(string[] args) => args switch
    {
        [CrashWriter.Argument, var path, var seed] => CrashWriter.Run(path, int.Parse(seed)),
        _ => TestPlatformTestFramework.RunAsync(args, SelfRegisteredExtensions.AddSelfRegisteredExtensions).GetAwaiter().GetResult(),
    };
}
