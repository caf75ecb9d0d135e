using System.Diagnostics;
using System.Text.RegularExpressions;
using Cloning.Instances;
using Vmm.Machines;

namespace Cloning.Switch;

/// <summary>
/// Brings the instance's file systems to rest before it is stopped for good. Where the guest has said hello on its channel it is asked
/// to: it syncs, and freezes what is on the persistent disks. Else SysRq s (sync), then u (remount read-only), each by a serial BREAK
/// (Documentation/admin-guide/sysrq.rst). Debian's default kernel.sysrq=438 allows both.
/// </summary>
/// <remarks>
/// <see cref="Sync"/> can be given up, and a freeze be undone; the remount cannot, from outside the guest, so everything else that can
/// fail comes before <see cref="Rest"/>.
/// </remarks>
internal static partial class Quiesce
{
    private const long LimitMillis = 5000, SettledMillis = 100;
    private const int LookMillis = 10;

    private static readonly TimeSpan s_limit = TimeSpan.FromMilliseconds(LimitMillis);

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
    /// <returns>By what means the guest is to come to rest.</returns>
    /// <exception cref="IOException">The mode is Sysrq, and the guest does not do it or not in time.</exception>
    public static AtRest Sync(Instance instance, QuiesceMode mode, TimeSpan left, CancellationToken cancellation)
    {
        if (mode == QuiesceMode.None || instance.PersistentDisks.Count == 0) return AtRest.Nothing;
        long limit = Math.Clamp((long)left.TotalMilliseconds, 0, LimitMillis);
        if (mode == QuiesceMode.Auto && instance.ConsoleHub.Channel.Announced)
        {
            if (instance.ConsoleHub.Channel.Ask("sync", TimeSpan.FromMilliseconds(limit), cancellation) is not { } trouble) return AtRest.Frozen;
            instance.Log.NotAtRest(trouble);
        }

        Answer answer = Command(instance, (byte)'s', limit, cancellation);
        return answer switch
        {
            Answer.Done => AtRest.ReadOnly,
            Answer.Disabled when mode == QuiesceMode.Sysrq =>
                throw new IOException("the guest's kernel does not allow SysRq sync; see kernel.sysrq, or use --quiesce none"),
            Answer.None when mode == QuiesceMode.Sysrq =>
                throw new IOException($"the guest's disks did not come to rest within {limit} ms of SysRq sync"),
            Answer.None => AtRest.ReadOnly,
            _ => AtRest.Nothing,
        };
    }

    /// <summary>Brings the guest's file systems to rest; waits at most five seconds for each means.</summary>
    /// <returns>By what means they are, and the microseconds it took: downtime, for a guest that writes.</returns>
    public static (AtRest Means, long Micros) Rest(Instance instance, AtRest means)
    {
        long start = Stopwatch.GetTimestamp();
        if (means == AtRest.Frozen && instance.ConsoleHub.Channel.Ask("quiesce", s_limit, CancellationToken.None) is { } trouble)
        {
            instance.Log.NotAtRest(trouble);
            Undo(instance, means); // what is frozen would not let itself be remounted
            means = AtRest.ReadOnly;
        }

        if (means == AtRest.ReadOnly) Command(instance, (byte)'u', LimitMillis, CancellationToken.None);
        return (means, means == AtRest.Nothing ? 0 : (long)Stopwatch.GetElapsedTime(start).TotalMicroseconds);
    }

    /// <summary>After an abort: lets the guest's file systems work again.</summary>
    /// <returns>Null when they do, else how they are and what makes them work.</returns>
    public static string? Undo(Instance instance, AtRest means) => means switch
    {
        AtRest.ReadOnly => "read-only: mount -o remount,rw makes them writable again",
        AtRest.Frozen when instance.ConsoleHub.Channel.Ask("thaw", s_limit, CancellationToken.None) is { } trouble =>
            $"frozen ({trouble}): fsfreeze -u makes them writable again",
        _ => null,
    };

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
