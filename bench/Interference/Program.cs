using System.Globalization;
using System.Text.Json;
using Interference;
using Report;

if (args is ["report", string folder])
{
    InterferenceReport.Write(folder);
    return 0;
}

bool quick = args is [_, _, "--quick", ..];
string[] options = [.. args.Skip(quick ? 3 : 2)];
int repetitions = quick ? 1 : 5;
if (args.Length < 2 || (options is not []
    && !(options is ["--repetitions", string count] && int.TryParse(count, CultureInfo.InvariantCulture, out repetitions) && repetitions > 0)))
{
    Console.Error.WriteLine("usage: Interference IMAGES RESULTS-DIR [--quick] [--repetitions N] | report RESULTS-DIR");
    return 2;
}

TimeSpan time = TimeSpan.FromSeconds(quick ? 3 : 8);
ShadowKind[] shadows = ShadowKind.Columns(quick);
List<InterferenceCell> cells = [];
List<ReadyTime> ready = [];
string files = Directory.CreateDirectory(Path.Combine(Environment.CurrentDirectory, "interference")).FullName;
using (Instance instance = new(Path.GetFullPath(args[0]), files))
{
    // Each repetition goes round everything, so that what changes slowly on the host is in all columns alike.
    for (int repetition = 0; repetition < repetitions; repetition++)
    {
        foreach (Workload workload in Workload.All)
        {
            foreach (ShadowKind shadow in shadows)
            {
                InterferenceSample? sample = null;
                bool lasted = instance.While(shadow, () => sample = workload.Run(instance.Guest, instance.Device, time));
                Say($"{workload.Name}, {shadow.Name}: {sample!.Rate:0.#}/s, p99 {sample.P99Micros} µs{(lasted ? "" : " (the shadow was ready before the end: left out)")}");
                if (lasted) cells.Add(new InterferenceCell(workload.Name, shadow.Name, sample));
            }
        }

        double rate = cells.Where(cell => cell.Workload == Workload.All[0].Name && cell.Shadow == ShadowKind.None.Name).Average(cell => cell.Sample.Rate);
        foreach ((string name, bool halfIdle, string priority) in new[]
            { ("alone", false, "normal"), ("half-idle foreground, no isolation", true, "normal"), ("half-idle foreground, all", true, "idle") })
        {
            if (halfIdle) Workload.BeHalfIdle(instance.Guest, rate); // the new OS knows nothing of it
            TimeSpan took = instance.Reboot(priority);
            Say($"ready, {name}: {took.TotalSeconds:0.0} s");
            ready.Add(new ReadyTime(name, (long)took.TotalMilliseconds));
        }

        // After each repetition: a measurement that is broken off is one with fewer of them.
        File.WriteAllText(
            Path.Combine(args[1], InterferenceReport.FileName),
            JsonSerializer.Serialize(new InterferenceMeasurement([.. shadows.Select(shadow => shadow.Name)], cells, ready), InterferenceJson.Default.InterferenceMeasurement) + "\n");
    }
}

return 0;

static void Say(FormattableString line) => Console.WriteLine(line.ToString(CultureInfo.InvariantCulture));
