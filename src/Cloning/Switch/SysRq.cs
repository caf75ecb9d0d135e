using System.Diagnostics;
using System.Text.RegularExpressions;
using Cloning.Instances;

namespace Cloning.Switch;

/// <summary>
/// Commands to a guest's kernel, each by a serial BREAK (Documentation/admin-guide/sysrq.rst), and what it answers on the console.
/// </summary>
/// <remarks>
/// Whoever hears a command says so whatever its console log level is (drivers/tty/sysrq.c), with its name or that it is not allowed.
/// That is waited for each time: a kernel keeps no more than one command at a time, and a refusal does not say of what.
/// </remarks>
/// <param name="console">The guest's.</param>
/// <param name="activity">Bytes written to its disks so far, and whether requests are at work there.</param>
internal sealed partial class SysRq(ConsoleHub console, Func<(long Written, bool AtWork)> activity)
{
    private const long SettledMillis = 100;
    private const int LookMillis = 10;
    private const byte Delete = 0x7F;
    private const string Refusal = "sysrq operation is disabled";

    private static readonly Command s_sync = new('s', SyncHeard(), SyncDone()), s_logLevel = new('5', LogLevelHeard(), LogLevelDone()),
        s_remount = new('u', RemountHeard(), RemountDone());

    /// <summary>What came of a command.</summary>
    public enum Answer
    {
        /// <summary>The kernel says it is done, or its disks have come to rest.</summary>
        Done,
        /// <summary>The kernel does not allow it.</summary>
        Disabled,
        /// <summary>It was heard, and not done in time.</summary>
        Late,
        /// <summary>The kernel does not say that it has heard it.</summary>
        None,
    }

    /// <summary>Syncs all file systems.</summary>
    /// <param name="limitMillis">How long that may take.</param>
    /// <param name="cancellation">Gives up waiting.</param>
    public Answer Sync(long limitMillis, CancellationToken cancellation) => Send(s_sync, limitMillis, cancellation);

    /// <summary>
    /// Sets the console log level to warnings, of which the end of a remount is one. So the kernel says when it is done, even one that was
    /// booted with <c>quiet</c>, and nothing else: each character is an exit or two.
    /// </summary>
    /// <param name="limitMillis">How long that may take.</param>
    /// <param name="cancellation">Gives up waiting.</param>
    public Answer SetLogLevel(long limitMillis, CancellationToken cancellation) => Send(s_logLevel, limitMillis, cancellation);

    /// <summary>Remounts all file systems read-only, for good.</summary>
    /// <param name="limitMillis">How long that may take.</param>
    public Answer Remount(long limitMillis) => Send(s_remount, limitMillis, CancellationToken.None);

    /// <summary>
    /// Sends a command and waits until the kernel says it is done. A kernel with a low console log level does not say so: then the disks
    /// coming to rest is the sign, a tenth of a second late.
    /// </summary>
    private Answer Send(Command command, long limitMillis, CancellationToken cancellation)
    {
        using ReadyWatch heard = new(console, command.Heard), done = new(console, command.Done);
        Stopwatch clock = Stopwatch.StartNew();
        long written = activity().Written;
        console.SendSysRq((byte)command.Letter);
        if (!heard.Ready.Wait((int)limitMillis, cancellation))
        {
            console.Write([Delete]); // to a port that knows no SysRq the letter was typed like any other
            return Answer.None;
        }

        if (heard.Ready.Result.Contains(Refusal, StringComparison.Ordinal)) return Answer.Disabled;
        // File systems are synced one after the other: while one is, the others' disks are silent.
        long restSince = clock.ElapsedMilliseconds;
        while (!done.Ready.Wait(LookMillis, cancellation))
        {
            if (clock.ElapsedMilliseconds >= limitMillis) return Answer.Late;
            (long now, bool atWork) = activity();
            if (now != written || atWork) (written, restSince) = (now, clock.ElapsedMilliseconds);
            else if (clock.ElapsedMilliseconds - restSince > SettledMillis) return Answer.Done;
        }

        return Answer.Done;
    }

    private sealed record Command(char Letter, Regex Heard, Regex Done);

    [GeneratedRegex("Emergency Sync|" + Refusal, RegexOptions.CultureInvariant)]
    private static partial Regex SyncHeard();

    [GeneratedRegex("Emergency Sync complete", RegexOptions.CultureInvariant)]
    private static partial Regex SyncDone();

    [GeneratedRegex("Changing Loglevel|" + Refusal, RegexOptions.CultureInvariant)]
    private static partial Regex LogLevelHeard();

    [GeneratedRegex("Loglevel set to", RegexOptions.CultureInvariant)]
    private static partial Regex LogLevelDone();

    [GeneratedRegex("Emergency Remount|" + Refusal, RegexOptions.CultureInvariant)]
    private static partial Regex RemountHeard();

    [GeneratedRegex("Emergency Remount complete", RegexOptions.CultureInvariant)]
    private static partial Regex RemountDone();
}
