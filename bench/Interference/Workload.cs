using System.Diagnostics;
using System.Globalization;
using Os.Tests.Driver;
using Report;

namespace Interference;

/// <summary>Work in the foreground's guest.</summary>
/// <param name="Name">In tables.</param>
/// <param name="Run">Does it for a time.</param>
internal sealed record Workload(string Name, Func<Guest, string, TimeSpan, InterferenceSample> Run)
{
    private const double Milli = 1e-3;

    /// <summary>All there are.</summary>
    public static readonly Workload[] All =
    [
        new("CPU loop", (guest, _, time) => Count(guest, ":", time)),
        new("memory stream", (guest, _, time) => Count(guest, "cat /tmp/stream", time)),
        new("random read", (guest, device, time) => Fio(guest, device, "--rw=randread", time)),
        new("write + fsync", (guest, device, time) => Fio(guest, device, "--rw=randwrite --fsync=1", time)),
        new("request, response", (guest, _, time) => Ask(guest, time)),
    ];

    /// <summary>Puts what workloads need into a guest that has just booted. What is typed at a time has to be short.</summary>
    public static void Prepare(Guest guest)
    {
        guest.Run("dd if=/dev/zero of=/tmp/stream bs=1M count=8 2>/dev/null");
        guest.Run("echo 'trap s=1 TERM; i=0; read a b </proc/uptime' >/tmp/count");
        guest.Run("echo 'while [ -z \"$s\" ]; do $1 >/dev/null; i=$((i+1)); done' >>/tmp/count");
        guest.Run("echo 'read c b </proc/uptime; echo $i $a $c' >>/tmp/count");
    }

    /// <summary>Begins to keep the guest's CPU busy half of the time, in the background.</summary>
    /// <param name="guest">The guest.</param>
    /// <param name="rate">Rounds a second of the CPU loop.</param>
    public static void BeHalfIdle(Guest guest, double rate)
    {
        string rounds = ((long)(rate / 20)).ToString(CultureInfo.InvariantCulture);
        guest.Run($"echo 'while usleep 50000; do i=0; while [ $i -lt {rounds} ]; do i=$((i+1)); done; done' >/tmp/half");
        guest.Run("sh /tmp/half & true");
    }

    /// <summary>Repeats a shell command.</summary>
    private static InterferenceSample Count(Guest guest, string command, TimeSpan time)
    {
        string[] fields = guest.Run($"sh /tmp/count '{command}' & sleep {Seconds(time)}; kill $!; wait").Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)[^3..];
        double[] numbers = [.. fields.Select(field => double.Parse(field, CultureInfo.InvariantCulture))];
        return new InterferenceSample(numbers[0] / (numbers[2] - numbers[1]), null, null);
    }

    private static InterferenceSample Fio(Guest guest, string device, string pattern, TimeSpan time)
    {
        // Version 3 of the terse format: requests a second and the 50th and 99th percentile of completion times, of reads and of writes.
        string fields = pattern.Contains("write", StringComparison.Ordinal) ? "49,65,71" : "8,24,30";
        string[] said = guest.Run(
            $"fio --name=j --filename={device} {pattern} --bs=4k --direct=1 --thread --ioengine=psync --time_based "
            + $"--runtime={Seconds(time)} --output-format=terse | cut -d ';' -f {fields}").Split(';');
        double[] numbers = [.. said.Select(field => double.Parse(field[(field.IndexOf('=', StringComparison.Ordinal) + 1)..], CultureInfo.InvariantCulture))];
        return new InterferenceSample(numbers[0], (long)numbers[1], (long)numbers[2]);
    }

    /// <summary>Sends a line to a process in the guest, waits until it comes back, thinks for a while, and again.</summary>
    private static InterferenceSample Ask(Guest guest, TimeSpan time)
    {
        TimeSpan think = TimeSpan.FromMilliseconds(5);
        List<long> micros = [];
        guest.Send("stty -echo; cat\n");
        guest.Send("begin\n");
        guest.WaitFor("\nbegin", Limits.Answer);
        Stopwatch clock = Stopwatch.StartNew();
        for (int i = 0; clock.Elapsed < time; i++)
        {
            long asked = Stopwatch.GetTimestamp();
            guest.Send($"<{i}\n");
            guest.WaitFor($"<{i}\r?\n", Limits.Answer);
            micros.Add((long)Stopwatch.GetElapsedTime(asked).TotalMicroseconds);
            Thread.Sleep(think);
        }

        double rate = micros.Count / clock.Elapsed.TotalSeconds;
        guest.Send("\x04");
        guest.Run("stty echo");
        Percentiles all = Percentiles.Of(micros);
        return new InterferenceSample(rate, all.P50, all.P99);
    }

    private static string Seconds(TimeSpan time) => (time.TotalMilliseconds * Milli).ToString("0", CultureInfo.InvariantCulture);
}
