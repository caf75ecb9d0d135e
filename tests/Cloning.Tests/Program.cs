using Cloning.Tests.Disks;
using Xunit.MicrosoftTestingPlatform;

namespace Cloning.Tests;

/// <summary>One executable, two lives: the tests, and the process that they kill.</summary>
internal static class Program
{
    public static int Main(string[] args) => args switch
    {
        [UpkeepProcess.Verb, var folder, var seed] => UpkeepProcess.Run(folder, int.Parse(seed, System.Globalization.CultureInfo.InvariantCulture)),
        _ => TestPlatformTestFramework.RunAsync(args, SelfRegisteredExtensions.AddSelfRegisteredExtensions).GetAwaiter().GetResult(),
    };
}
