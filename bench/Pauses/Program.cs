using System.Globalization;
using Cloning;
using Pauses;

if (args is ["after", string afterCycles, string afterSizes]
    && int.TryParse(afterCycles, CultureInfo.InvariantCulture, out int afterCount) && afterCount > 0)
{
    Console.WriteLine("pause,memory_mib,populated,cycle,before_pages_per_s,first_10ms,first_100ms,first_s,round_us");
    foreach (int memory in Numbers(afterSizes))
        foreach (PauseKind kind in Enum.GetValues<PauseKind>()) WatchAfter(kind, memory, afterCount);
    return 0;
}

// Every pause of every combination as a line of CSV on standard output, a summary a combination on standard error.
if (args is not [string cycleCount, string sizeList, string cpuList]
    || !int.TryParse(cycleCount, CultureInfo.InvariantCulture, out int cycles) || cycles < 1)
{
    Console.Error.WriteLine("usage: Pauses CYCLES MIB[,MIB...] VCPUS[,VCPUS...]\n       Pauses after CYCLES MIB[,MIB...]");
    return 2;
}

const int WarmUp = 3;
Console.WriteLine("pause,memory_mib,vcpus,cycle,total_us,stop_us,save_us,load_us,release_us,enter_us,allocated_bytes");
foreach (int memory in Numbers(sizeList))
{
    foreach (int cpus in Numbers(cpuList))
    {
        foreach (PauseKind kind in Enum.GetValues<PauseKind>()) Sample(kind, cpus, memory);
    }
}

return 0;

static int[] Numbers(string list) => [.. list.Split(',').Select(n => int.Parse(n, CultureInfo.InvariantCulture))];

// With filled page tables and without, in turn: what the host does meanwhile hits both.
void WatchAfter(PauseKind kind, int memory, int count)
{
    using PauseCycle plain = new(kind, cpus: 1, memory, populate: false), populated = new(kind, cpus: 1, memory, populate: true);
    plain.Rest();
    populated.Rest();
    List<AfterPause>[] seen = [[], []];
    for (int i = 0; i < 2 * count; i++)
    {
        PauseCycle cycle = i % 2 == 0 ? plain : populated;
        cycle.Wake();
        AfterPause after = AfterPause.Measure(cycle, memory);
        cycle.GoBack();
        cycle.Rest();
        seen[i % 2].Add(after);
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"{kind},{memory},{i % 2},{i / 2},{after.Before:F0},{after.First10:F3},{after.First100:F3},{after.FirstSecond:F3},{after.RoundMicros:F0}"));
    }

    for (int i = 0; i < 2; i++)
    {
        Console.Error.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"{kind,-6} {memory,5} MiB {(i == 0 ? "plain    " : "populated")}: {Median(seen[i], a => a.Before):F0} pages/s before; of it in the first 10 ms {Median(seen[i], a => a.First10):P0}, 100 ms {Median(seen[i], a => a.First100):P0}, 1 s {Median(seen[i], a => a.FirstSecond):P0}; first round {Median(seen[i], a => a.RoundMicros) / 1000:F1} ms longer"));
    }

    static double Median(List<AfterPause> all, Func<AfterPause, double> figure) => all.Select(figure).Order().ElementAt(all.Count / 2);
}

void Sample(PauseKind kind, int cpus, int memory)
{
    using PauseCycle cycle = new(kind, cpus, memory);
    List<long> totals = [];
    for (int i = -WarmUp; i < cycles; i++)
    {
        Pause pause = new();
        cycle.Prepare();
        cycle.Take(pause);
        (long total, PauseParts parts) = (pause.Micros, pause.Parts);
        cycle.GoBack();
        if (i < 0) continue;
        totals.Add(total);
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"{kind},{memory},{cpus},{i},{total},{parts.Stop},{parts.Save},{parts.Load},{parts.Release},{parts.Enter},{pause.AllocatedBytes}"));
    }

    totals.Sort();
    Console.Error.WriteLine($"{kind,-6} {memory,5} MiB {cpus} vCPU: p50 {Rank(0.5)} p95 {Rank(0.95)} p99 {Rank(0.99)} max {totals[^1]} us");

    long Rank(double rank) => totals[Math.Max((int)Math.Ceiling(rank * totals.Count) - 1, 0)];
}
