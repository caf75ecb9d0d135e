using System.Diagnostics;
using Cloning.Instances;

namespace Cloning.Tests.Kills;

/// <summary>
/// The process that is killed: an instance that reboots in the background again and again while its guest writes records, and that
/// says every step and every record that is durable. At one step it can be made to wait for a line of input.
/// </summary>
internal sealed class KilledInstance(Process process) : IDisposable
{
    public const string Verb = "killed-instance";

    /// <summary>Starts this executable as the instance.</summary>
    /// <param name="folder">Where it lives.</param>
    /// <param name="firstRecord">Number of the first record.</param>
    /// <param name="stop">Where it waits, or "never".</param>
    public static KilledInstance Start(string folder, ulong firstRecord, string stop = "never") =>
        new(Process.Start(new ProcessStartInfo(Environment.ProcessPath!, [Verb, folder, $"{firstRecord}", stop])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
        })!);

    /// <summary>The process.</summary>
    public Process Process => process;

    /// <summary>Kills it if that has not been done.</summary>
    public void Dispose()
    {
        process.Kill();
        process.WaitForExit();
        process.Dispose();
    }

    public static int Run(string folder, ulong firstRecord, string stop)
    {
        using TestInstance guest = new('A', folder);
        using Records records = new(guest, firstRecord);
        guest.Entered = phase =>
        {
            Say($"phase {phase}");
            if (guest.Instance.Status().ShadowPid is { } shadow) Say($"shadow {shadow}");
            if (stop == $"{phase}-quiet") records.Stop();
            if (!stop.StartsWith($"{phase}", StringComparison.Ordinal)) return;
            Say("stopped");
            Console.In.ReadLine();
            // The host has taken the disk away meanwhile: with the guest writing, a request comes to hang.
            if (stop == $"{phase}") SpinWait.SpinUntil(() => guest.Instance.Machine.Disks.Any(disk => disk.InFlight > 0));
        };
        Say("open");
        records.Start();
        for (int i = 1; ; i++)
        {
            guest.Install((char)('A' + (i % 26)));
            RebootReport report = guest.RebootInBackground().GetAwaiter().GetResult();
            Say($"ended {report.Outcome} {report.Reason}");
        }
    }

    private static void Say(string line)
    {
        lock (Console.Out)
        {
            Console.Out.WriteLine(line);
            Console.Out.Flush();
        }
    }

    /// <summary>The guest's writing.</summary>
    private sealed class Records(TestInstance guest, ulong first) : IDisposable
    {
        private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(1);
        private readonly Lock _writing = new();
        private volatile bool _stopped;

        public void Start() => new Thread(Write) { IsBackground = true, Name = "records" }.Start();

        /// <summary>No record is being written when this returns.</summary>
        public void Stop()
        {
            _stopped = true;
            lock (_writing)
            {
            }
        }

        public void Dispose() => Stop();

        private void Write()
        {
            for (ulong number = first; !_stopped; number++)
            {
                lock (_writing)
                {
                    Say($"write {number}");
                    // A command that the old OS had not answered at the switch went to an OS that is no more.
                    if (guest.TryRecord(number, s_limit) == true) Say($"written {number}");
                }
            }
        }
    }
}
