using System.Diagnostics;
using Memory;
using Report;

if (args is ["background"])
{
    Background.Run();
    return 0;
}

if (args is not ([] or ["--quick"]))
{
    Console.Error.WriteLine("usage: Memory [--quick]");
    return 2;
}

// How much two processes are in each other's way changes from one to the next, with the pages and the processors they get. So what is
// compared is one background, with its regulator on and off in turn.
const double InTheWay = 0.25; // of what the foreground does alone
int backgrounds = args.Length == 0 ? 12 : 4;
TimeSpan time = TimeSpan.FromSeconds(3);
HostDescription host = HostDescription.Read();
Console.WriteLine($"{host.Date}, {host.Processor}, {host.Processors} processors, {host.Kernel}, commit {host.Commit}. Medians; in brackets the least and the most.");
Console.WriteLine();
MarkdownTable table = new(
    "foreground", "a background's harm", "backgrounds", "alone, MiB/s", "kept beside it, %", "kept beside it regulated, %", "background, MiB/s", "regulated, %");
foreach ((string name, Func<Func<bool>, double> run) in new (string, Func<Func<bool>, double>)[] { ("copy", Streams.Copy), ("reads at random", Streams.Chase), ("none", Idle) })
{
    List<Trial> trials = [];
    for (int i = 0; i < backgrounds; i++) trials.Add(Try(run));
    foreach (IGrouping<bool, Trial> group in trials.GroupBy(trial => trial.Free < 1 - InTheWay).OrderBy(group => group.Key))
    {
        bool isNothing = group.All(trial => trial.Alone == 0);
        table.Add(name, isNothing ? "" : group.Key ? "more than a quarter" : "less", $"{group.Count()}",
            isNothing ? "" : Spread.Text([.. group.Select(trial => trial.Alone)], "0"), isNothing ? "" : Spread.Text([.. group.Select(trial => trial.Free * 100)], "0.0"),
            isNothing ? "" : Spread.Text([.. group.Select(trial => trial.Regulated * 100)], "0.0"),
            Spread.Text([.. group.Select(trial => trial.Background)], "0"), Spread.Text([.. group.Select(trial => trial.BackgroundRegulated * 100)], "0.0"));
    }
}

Console.Write(table);
return 0;

Trial Try(Func<Func<bool>, double> run)
{
    double alone = run(For(time)), free, regulated, background, backgroundRegulated;
    using (Background other = new())
    {
        other.Begin(regulated: false);
        free = run(For(time));
        background = other.Begin(regulated: true);
        regulated = run(For(time));
        backgroundRegulated = other.Begin(regulated: false);
    }

    alone = (alone + run(For(time))) / 2;
    return new Trial(alone, free / alone, regulated / alone, background, backgroundRegulated / background);
}

static Func<bool> For(TimeSpan time)
{
    long start = 0; // of the work, not of what it prepares
    return () =>
    {
        if (start == 0) start = Stopwatch.GetTimestamp();
        return Stopwatch.GetElapsedTime(start) < time;
    };
}

static double Idle(Func<bool> goesOn)
{
    while (goesOn()) Thread.Sleep(1);
    return 0;
}
