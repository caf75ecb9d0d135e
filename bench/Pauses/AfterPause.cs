using System.Diagnostics;
using Cloning;
using TestKit.Guests;

namespace Pauses;

/// <summary>
/// What a guest pays for a pause after it: it writes one word to each of its pages, round after round, before and after, and its pages
/// are counted. Writes, because after a fork the first one to each page makes a copy of the page, and reads cost less.
/// </summary>
/// <param name="Before">Pages written in a second, before the pause.</param>
/// <param name="First10">Of these, the share in the first 10 ms after it.</param>
/// <param name="First100">In the first 100 ms.</param>
/// <param name="FirstSecond">In the first second.</param>
/// <param name="RoundMicros">What the first round takes longer than one before the pause.</param>
internal sealed record AfterPause(double Before, double First10, double First100, double FirstSecond, double RoundMicros)
{
    private static readonly TimeSpan s_settle = TimeSpan.FromMilliseconds(200), s_watched = TimeSpan.FromSeconds(1);

    /// <summary>Takes one pause and watches what comes after it.</summary>
    internal static AfterPause Measure(PauseCycle cycle, int memoryMiB)
    {
        cycle.Prepare();
        // A switch goes on with another guest, which was stopped while it counted: it is asked in its own memory.
        cycle.Running.Post(WorkerCommand.Touch);
        Watch(cycle.Running, Stopwatch.GetTimestamp(), s_settle, []);
        double before = Watch(cycle.Running, Stopwatch.GetTimestamp(), s_watched, [])[0];
        if (cycle.Kind == PauseKind.Switch) cycle.Next.Post(WorkerCommand.Touch);
        Pause pause = new();
        cycle.Take(pause);
        ulong round = ((ulong)memoryMiB << 20) / CowMemory.MemoryLayout.PageSize;
        long begin = Stopwatch.GetTimestamp();
        double[] after = Watch(cycle.Next, begin, s_watched, [TimeSpan.FromMilliseconds(10), TimeSpan.FromMilliseconds(100)], round);
        cycle.Next.Post(WorkerCommand.None);
        cycle.Running.Post(WorkerCommand.None);
        return new AfterPause(before, after[0] / before, after[1] / before, after[2] / before, after[3] - (round / before * 1e6));
    }

    /// <summary>Rates, in pages a second, until each of the marks and until the end; then, in microseconds, when so many pages were done.</summary>
    private static double[] Watch(WorkerMachine guest, long begin, TimeSpan length, TimeSpan[] marks, ulong pages = ulong.MaxValue)
    {
        ulong first = guest.Counter;
        double[] rates = new double[marks.Length + 2];
        int mark = 0;
        while (true)
        {
            ulong done = guest.Counter - first;
            TimeSpan at = Stopwatch.GetElapsedTime(begin);
            if (done >= pages && rates[^1] == 0) rates[^1] = at.TotalMicroseconds;
            if (mark < marks.Length && at >= marks[mark]) rates[mark++] = done / at.TotalSeconds;
            if (at >= length)
            {
                rates[^2] = done / at.TotalSeconds;
                // A round that takes longer than was watched for.
                if (pages != ulong.MaxValue && rates[^1] == 0) rates[^1] = at.TotalMicroseconds * pages / done;
                return rates;
            }

            Thread.Yield();
        }
    }
}
