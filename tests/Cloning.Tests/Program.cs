using Cloning.Tests.Cycles;
using Cloning.Tests.Disks;
using Cloning.Tests.Kills;
using Xunit.MicrosoftTestingPlatform;

namespace Cloning.Tests;

/// <summary>One executable, two lives: the tests, and the process that they kill.</summary>
internal static class Program
{
    public static int Main(string[] args) => args switch
    {
        [UpkeepProcess.Verb, var folder, var seed] => UpkeepProcess.Run(folder, int.Parse(seed, System.Globalization.CultureInfo.InvariantCulture)),
        [KilledInstance.Verb, var folder, var first, var stop] => KilledInstance.Run(
            folder, ulong.Parse(first, System.Globalization.CultureInfo.InvariantCulture), stop),
        [CyclesProcess.Verb, var cycles] => CyclesProcess.Run(int.Parse(cycles, System.Globalization.CultureInfo.InvariantCulture)),
        _ => TestPlatformTestFramework.RunAsync(args, SelfRegisteredExtensions.AddSelfRegisteredExtensions).GetAwaiter().GetResult(),
    };
}
