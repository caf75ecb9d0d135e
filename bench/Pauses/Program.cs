using System.Globalization;
using Cloning;
using Pauses;

// Every pause of every combination as a line of CSV on standard output, a summary a combination on standard error.
if (args is not [string cycleCount, string sizeList, string cpuList]
    || !int.TryParse(cycleCount, CultureInfo.InvariantCulture, out int cycles) || cycles < 1)
{
    Console.Error.WriteLine("usage: Pauses CYCLES MIB[,MIB...] VCPUS[,VCPUS...]");
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
