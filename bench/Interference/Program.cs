using System.Globalization;
using System.Text.Json;
using Interference;
using Report;

if (args is ["report", string folder])
{
    InterferenceReport.Write(folder);
    return 0;
}

if (args is not [string images, string results, .. string[] options] || Plan.Parse(options) is not { } plan)
{
    Console.Error.WriteLine(
        "usage: Interference IMAGES RESULTS-DIR [--quick] [--seconds N] [--repetitions N] [--workload NAME]... [--shadow NAME]... | report RESULTS-DIR");
    return 2;
}

// Now, and not when its turn comes, with half of a measurement done.
if (plan.Shadows.Any(shadow => shadow.Loop) && IdleLoop.Lack() is { } lack)
{
    Console.Error.WriteLine($"Interference: {lack}; name the other columns with --shadow");
    return 1;
}

List<InterferenceCell> cells = [];
List<ReadyTime> ready = [];
string files = Directory.CreateDirectory(Path.Combine(Environment.CurrentDirectory, "interference")).FullName;
using (Instance instance = new(Path.GetFullPath(images), files))
{
    // Each repetition goes round everything, so that what changes slowly on the host is in all columns alike.
    for (int repetition = 0; repetition < plan.Repetitions; repetition++)
    {
        foreach (Workload workload in plan.Workloads)
        {
            // Once for nothing: what the workload before has left behind is still being worked off.
            workload.Run(instance.Guest, instance.Device, plan.Time);
            // Alone before and after each, too.
            foreach (ShadowKind shadow in plan.Shadows.Skip(1).SelectMany(shadow => new[] { ShadowKind.None, shadow }).Append(ShadowKind.None))
            {
                InterferenceSample? sample = null;
                bool lasted = instance.While(shadow, () => sample = workload.Run(instance.Guest, instance.Device, plan.Time));
                Say($"{workload.Name}, {shadow.Name}: {sample?.Rate:0.#}/s, p99 {sample?.P99Micros} µs{(lasted ? "" : " (the shadow was ready before the end: left out)")}");
                if (lasted) cells.Add(new InterferenceCell(workload.Name, shadow.Name, sample!));
            }
        }

        if (!plan.IsPart) ready.AddRange(TimesUntilReady(instance));
        // After each repetition: a measurement that is broken off is one with fewer of them.
        File.WriteAllText(
            Path.Combine(results, InterferenceReport.FileName),
            JsonSerializer.Serialize(new InterferenceMeasurement([.. plan.Shadows.Select(shadow => shadow.Name)], cells, ready), InterferenceJson.Default.InterferenceMeasurement) + "\n");
    }
}

return 0;

List<ReadyTime> TimesUntilReady(Instance instance)
{
    List<ReadyTime> times = [];
    double rate = cells.Where(cell => cell.Workload == Workload.All[0].Name && cell.Shadow == ShadowKind.None.Name).Average(cell => cell.Sample.Rate);
    foreach ((string name, bool halfIdle, string priority) in new[]
        { ("alone", false, "normal"), ("half-idle foreground, no isolation", true, "normal"), ("half-idle foreground, all", true, "idle") })
    {
        if (halfIdle) Workload.BeHalfIdle(instance.Guest, rate); // the new OS knows nothing of it
        TimeSpan took = instance.Reboot(priority);
        Say($"ready, {name}: {took.TotalSeconds:0.0} s");
        times.Add(new ReadyTime(name, (long)took.TotalMilliseconds));
    }

    return times;
}

static void Say(FormattableString line) => Console.WriteLine(line.ToString(CultureInfo.InvariantCulture));
