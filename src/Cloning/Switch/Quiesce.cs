using System.Diagnostics;
using Cloning.Instances;
using Vmm.Machines;

namespace Cloning.Switch;

/// <summary>
/// Brings the instance's file systems to rest before it is stopped for good. Where the guest has said hello on its channel it is asked
/// to: it syncs, and freezes what is on the persistent disks. Else <see cref="SysRq"/>: sync, then remount read-only. Debian's default
/// kernel.sysrq=438 allows both.
/// </summary>
/// <remarks>
/// <see cref="Sync"/> can be given up, and a freeze be undone; the remount cannot, from outside the guest, so everything else that can
/// fail comes before <see cref="Rest"/>.
/// </remarks>
internal static class Quiesce
{
    private const long LimitMillis = 5000;

    private static readonly TimeSpan s_limit = TimeSpan.FromMilliseconds(LimitMillis);

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
            instance.Log.NotAtRest("its channel", trouble);
        }

        SysRq kernel = KernelOf(instance);
        SysRq.Answer synced = kernel.Sync(limit, cancellation);
        if (mode == QuiesceMode.Sysrq && Trouble(synced, "sync", limit) is { } problem) throw new IOException(problem);
        if (synced is SysRq.Answer.Done or SysRq.Answer.Late)
        {
            // Now, and not when the guest's writes wait for it. Where it is not allowed the remount's end is told by the disks.
            _ = kernel.SetLogLevel(limit, cancellation);
            return AtRest.ReadOnly;
        }

        instance.Log.NotAtRest("SysRq", Trouble(synced, "sync", limit)!);
        return AtRest.Nothing;
    }

    /// <summary>Brings the guest's file systems to rest; waits at most five seconds for each means.</summary>
    /// <param name="instance">The instance.</param>
    /// <param name="mode">Auto makes do with what can be had; Sysrq does not.</param>
    /// <param name="means">By what means they are to be, then by what means they are.</param>
    /// <returns>The microseconds it took: downtime, for a guest that writes.</returns>
    /// <exception cref="IOException">The mode is Sysrq, and the guest's kernel refuses, or does not answer.</exception>
    public static long Rest(Instance instance, QuiesceMode mode, ref AtRest means)
    {
        if (means == AtRest.Nothing) return 0;
        long start = Stopwatch.GetTimestamp();
        if (means == AtRest.Frozen && instance.ConsoleHub.Channel.Ask("quiesce", s_limit, CancellationToken.None) is { } trouble)
        {
            instance.Log.NotAtRest("its channel", trouble);
            Undo(instance, means); // what is frozen would not let itself be remounted
            // What Sync did not need. A kernel that does not hear this does not hear the remount either.
            SysRq.Answer level = KernelOf(instance).SetLogLevel(LimitMillis, CancellationToken.None);
            means = level == SysRq.Answer.None ? AtRest.Nothing : AtRest.ReadOnly;
            if (means == AtRest.Nothing) instance.Log.NotAtRest("SysRq", Trouble(level, "log level", LimitMillis)!);
        }

        if (means == AtRest.ReadOnly)
        {
            SysRq.Answer remounted = KernelOf(instance).Remount(LimitMillis);
            if (remounted == SysRq.Answer.Disabled) means = AtRest.Nothing; // it has done nothing
            if (remounted is SysRq.Answer.Disabled or SysRq.Answer.None)
            {
                string problem = Trouble(remounted, "remount", LimitMillis)!;
                if (mode == QuiesceMode.Sysrq) throw new IOException(problem);
                instance.Log.NotAtRest("SysRq", problem);
            }
        }

        return (long)Stopwatch.GetElapsedTime(start).TotalMicroseconds;
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

    private static SysRq KernelOf(Instance instance)
    {
        Machine machine = instance.Machine;
        return new SysRq(
            instance.ConsoleHub,
            () => (machine.Disks.Sum(disk => disk.Counters.WrittenBytes), machine.Disks.Any(disk => disk.InFlight > 0)));
    }

    private static string? Trouble(SysRq.Answer answer, string command, long limitMillis) => answer switch
    {
        SysRq.Answer.Disabled => $"the guest's kernel does not allow SysRq {command}; see kernel.sysrq, or use --quiesce none",
        SysRq.Answer.Late => $"the guest's disks did not come to rest within {limitMillis} ms of SysRq {command}",
        SysRq.Answer.None =>
            $"the guest's kernel did not answer SysRq {command} on its serial console within {limitMillis} ms; see kernel.sysrq, or use --quiesce none",
        _ => null,
    };
}
