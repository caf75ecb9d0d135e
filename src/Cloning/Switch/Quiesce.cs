using System.Diagnostics;
using System.Text.RegularExpressions;
using Cloning.Instances;
using Vmm.Machines;

namespace Cloning.Switch;

/// <summary>
/// Brings the instance's file systems to rest before it is stopped for good: SysRq s (sync), then u (remount read-only), each by
/// a serial BREAK (Documentation/admin-guide/sysrq.rst). Debian's default kernel.sysrq=438 allows both.
/// </summary>
/// <remarks>
/// <see cref="Sync"/> can be given up; the remount cannot be undone from outside the guest, so everything else that can fail comes
/// before <see cref="Remount"/>.
/// </remarks>
internal static partial class Quiesce
{
    private const long LimitMillis = 5000, SettledMillis = 100;
    private const int LookMillis = 10;

    private enum Answer
    {
        Done,
        Disabled,
        None,
    }

    /// <summary>Writes out what the guest holds back, while it works on.</summary>
    /// <param name="instance">The instance.</param>
    /// <param name="mode">Auto makes do with what can be had; Sysrq does not.</param>
    /// <param name="left">Time left for it; more than five seconds are not waited for.</param>
    /// <param name="cancellation">Gives up.</param>
    /// <returns>Whether a remount makes sense.</returns>
    /// <exception cref="IOException">The mode is Sysrq, and the guest does not do it or not in time.</exception>
    public static bool Sync(Instance instance, QuiesceMode mode, TimeSpan left, CancellationToken cancellation)
    {
        if (mode == QuiesceMode.None || instance.PersistentDisks.Count == 0) return false;
        long limit = Math.Clamp((long)left.TotalMilliseconds, 0, LimitMillis);
        Answer answer = Command(instance, (byte)'s', limit, cancellation);
        return answer switch
        {
            Answer.Done => true,
            Answer.Disabled when mode == QuiesceMode.Sysrq =>
                throw new IOException("the guest's kernel does not allow SysRq sync; see kernel.sysrq, or use --quiesce none"),
            Answer.None when mode == QuiesceMode.Sysrq =>
                throw new IOException($"the guest's disks did not come to rest within {limit} ms of SysRq sync"),
            _ => answer == Answer.None,
        };
    }

    /// <summary>Remounts the guest's file systems read-only; waits at most five seconds.</summary>
    /// <returns>Microseconds it took: downtime, for a guest that writes.</returns>
    public static long Remount(Instance instance)
    {
        long start = Stopwatch.GetTimestamp();
        Command(instance, (byte)'u', LimitMillis, CancellationToken.None);
        return (long)Stopwatch.GetElapsedTime(start).TotalMicroseconds;
    }

    /// <summary>
    /// Sends a command and waits until the kernel says it is done. A kernel with a low console log level does not say so:
    /// then the disks coming to rest is the sign.
    /// </summary>
    private static Answer Command(Instance instance, byte command, long limitMillis, CancellationToken cancellation)
    {
        using ReadyWatch done = new(instance.ConsoleHub, DoneMessage());
        using ReadyWatch disabled = new(instance.ConsoleHub, DisabledMessage());
        Task answered = Task.WhenAny(done.Ready, disabled.Ready);
        instance.ConsoleHub.SendSysRq(command);
        Stopwatch clock = Stopwatch.StartNew();
        long written = Written(instance.Machine), restSince = 0;
        while (!answered.Wait(LookMillis, cancellation))
        {
            if (clock.ElapsedMilliseconds >= limitMillis) return Answer.None;
            long now = Written(instance.Machine);
            if (now != written || AtWork(instance)) (written, restSince) = (now, clock.ElapsedMilliseconds);
            else if (clock.ElapsedMilliseconds - restSince > SettledMillis) return Answer.Done;
        }

        return done.Ready.IsCompleted ? Answer.Done : Answer.Disabled;
    }

    // File systems are synced one after the other: while one is, the others' disks are silent.
    private static long Written(Machine machine) => machine.Disks.Sum(disk => disk.Counters.WrittenBytes);

    private static bool AtWork(Instance instance) => instance.PersistentSlots.Any(slot => instance.Machine.Disks[slot].InFlight > 0);

    [GeneratedRegex("Emergency (Sync|Remount) complete", RegexOptions.CultureInvariant)]
    private static partial Regex DoneMessage();

    [GeneratedRegex("sysrq operation is disabled", RegexOptions.CultureInvariant)]
    private static partial Regex DisabledMessage();
}
