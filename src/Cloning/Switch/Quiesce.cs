using System.Diagnostics;
using System.Text.RegularExpressions;
using Cloning.Instances;

namespace Cloning.Switch;

/// <summary>
/// Brings the instance's file systems to rest before it is stopped for good: SysRq s (sync), then u (remount read-only), each by
/// a serial BREAK (Documentation/admin-guide/sysrq.rst). Debian's default kernel.sysrq=438 allows both.
/// </summary>
internal static partial class Quiesce
{
    private const long LimitMillis = 2000, SettledMillis = 100;
    private const int LookMillis = 10;

    /// <summary>Quiesces.</summary>
    /// <returns>Microseconds from the remount on: until then the guest works as ever.</returns>
    public static long Run(Instance instance, QuiesceMode mode)
    {
        if (mode == QuiesceMode.None || instance.PersistentDisks.Count == 0) return 0;
        Command(instance, (byte)'s');
        long start = Stopwatch.GetTimestamp();
        Command(instance, (byte)'u');
        return (long)Stopwatch.GetElapsedTime(start).TotalMicroseconds;
    }

    /// <summary>
    /// Sends a command and waits until the kernel says it is done. A kernel with a low console log level does not say so:
    /// then the persistent disks coming to rest is the sign.
    /// </summary>
    private static void Command(Instance instance, byte command)
    {
        using ReadyWatch answer = new(instance.ConsoleHub, Answer());
        instance.ConsoleHub.SendSysRq(command);
        Stopwatch clock = Stopwatch.StartNew();
        long requests = instance.PersistentRequests, lastChange = 0;
        while (clock.ElapsedMilliseconds < LimitMillis && !answer.Ready.Wait(LookMillis))
        {
            long now = instance.PersistentRequests;
            if (now != requests) (requests, lastChange) = (now, clock.ElapsedMilliseconds);
            else if (clock.ElapsedMilliseconds - lastChange > SettledMillis) return;
        }
    }

    [GeneratedRegex("Emergency (Sync|Remount) complete|sysrq operation is disabled", RegexOptions.CultureInvariant)]
    private static partial Regex Answer();
}
