using System.Diagnostics;
using System.Text.RegularExpressions;
using Cloning.Instances;

namespace Cloning.Switch;

/// <summary>
/// Commands to a guest's kernel, each by a serial BREAK (Documentation/admin-guide/sysrq.rst), and what it answers on the console.
/// </summary>
/// <param name="console">The guest's.</param>
/// <param name="activity">Bytes written to its disks so far, and whether requests are at work there.</param>
internal sealed partial class SysRq(ConsoleHub console, Func<(long Written, bool AtWork)> activity)
{
    private const long SettledMillis = 100;
    private const int LookMillis = 10;

    /// <summary>What came of a command.</summary>
    public enum Answer
    {
        /// <summary>The kernel says so, or its disks have come to rest.</summary>
        Done,
        /// <summary>The kernel does not allow it.</summary>
        Disabled,
        /// <summary>Not in time.</summary>
        None,
    }

    /// <summary>Syncs all file systems.</summary>
    /// <param name="limitMillis">How long that may take.</param>
    /// <param name="cancellation">Gives up waiting.</param>
    public Answer Sync(long limitMillis, CancellationToken cancellation) => Send('s', SyncMessage(), mayRefuse: true, limitMillis, cancellation);

    /// <summary>Remounts all file systems read-only, for good.</summary>
    /// <param name="limitMillis">How long that may take.</param>
    public Answer Remount(long limitMillis)
    {
        // The console log level first: warnings, of which the end of a remount is one. So that the kernel says when it is done, even one
        // that was booted with `quiet`, and nothing else: each character is an exit or two. Its answer is waited for: a kernel keeps no
        // more than one command at a time, and what it refuses later might be this or the remount.
        using ReadyWatch heard = new(console, LogLevelMessage());
        console.SendSysRq((byte)'5');
        bool answered = heard.Ready.Wait(TimeSpan.FromMilliseconds(SettledMillis));
        return Send('u', RemountMessage(), mayRefuse: answered, limitMillis, CancellationToken.None);
    }

    /// <summary>
    /// Sends a command and waits until the kernel says it is done. A kernel with a low console log level does not say so: then the disks
    /// coming to rest is the sign, a tenth of a second late.
    /// </summary>
    private Answer Send(char command, Regex doneMessage, bool mayRefuse, long limitMillis, CancellationToken cancellation)
    {
        using ReadyWatch done = new(console, doneMessage);
        using ReadyWatch disabled = new(console, DisabledMessage());
        Task answered = mayRefuse ? Task.WhenAny(done.Ready, disabled.Ready) : done.Ready;
        console.SendSysRq((byte)command);
        Stopwatch clock = Stopwatch.StartNew();
        // File systems are synced one after the other: while one is, the others' disks are silent.
        long written = activity().Written, restSince = 0;
        while (!answered.Wait(LookMillis, cancellation))
        {
            if (clock.ElapsedMilliseconds >= limitMillis) return Answer.None;
            (long now, bool atWork) = activity();
            if (now != written || atWork) (written, restSince) = (now, clock.ElapsedMilliseconds);
            else if (clock.ElapsedMilliseconds - restSince > SettledMillis) return Answer.Done;
        }

        return done.Ready.IsCompleted ? Answer.Done : Answer.Disabled;
    }

    [GeneratedRegex("Emergency Sync complete", RegexOptions.CultureInvariant)]
    private static partial Regex SyncMessage();

    [GeneratedRegex("Emergency Remount complete", RegexOptions.CultureInvariant)]
    private static partial Regex RemountMessage();

    [GeneratedRegex("sysrq operation is disabled", RegexOptions.CultureInvariant)]
    private static partial Regex DisabledMessage();

    [GeneratedRegex("Changing Loglevel|sysrq operation is disabled", RegexOptions.CultureInvariant)]
    private static partial Regex LogLevelMessage();
}
