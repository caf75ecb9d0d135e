using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Reboots;
using Report;

// One guest with one memory size; scripts/bench runs it where /dev/kvm runs operating systems.
if (args is not [string host, string guest, string images, string memory, string count, string interval, string output])
{
    Console.Error.WriteLine("usage: Reboots HOST GUEST IMAGES MIB RUNS INTERVAL-MS OUT.json");
    return 2;
}

const string Prompt = "login:";
TimeSpan patience = TimeSpan.FromMinutes(5), margin = TimeSpan.FromMilliseconds(500), aSecond = TimeSpan.FromSeconds(1);
TimeSpan every = TimeSpan.FromMilliseconds(int.Parse(interval, CultureInfo.InvariantCulture));
int memoryMiB = int.Parse(memory, CultureInfo.InvariantCulture), runs = int.Parse(count, CultureInfo.InvariantCulture);
string folder = Directory.CreateDirectory(Path.Combine(Directory.GetCurrentDirectory(), "reboots")).FullName;
using Instance instance = new(images, folder, memoryMiB);
using Heartbeat heartbeat = new(instance.ConsoleSocket, every, Prompt);
Wait(heartbeat.FirstPrompt());
heartbeat.Ask();
long since = Stopwatch.GetTimestamp();
Rest(TimeSpan.FromSeconds(10));
Percentiles undisturbed = Percentiles.Of(Silences(heartbeat.Between(since, Stopwatch.GetTimestamp())));
Console.WriteLine($"{guest}, {memoryMiB} MiB: the console answers every {Times.Text(undisturbed.P50)}, at worst {Times.Text(undisturbed.Max)}");

List<InPlaceRun> inPlace = [];
List<BackgroundRun> background = [];
for (int run = 0; run < runs; run++)
{
    // From the older kernel to the newer one in the background, and back in place.
    if (instance.KernelSeries.Length > 1) instance.Install(instance.KernelSeries[0]);
    inPlace.Add(RebootInPlace());
    Console.WriteLine($"in place: {Times.Text(inPlace[^1].DowntimeMicros)}; from outside {Times.Text(inPlace[^1].SilenceMicros)}");
    if (instance.KernelSeries.Length > 1) instance.Install(instance.KernelSeries[^1]);
    background.Add(RebootInBackground());
    BackgroundRun b = background[^1];
    Console.WriteLine($"background: {Times.Text(b.DowntimeMicros)}; from outside clone {Times.Text(b.CloneSilenceMicros)}, " +
        $"switch {Times.Text(b.SwitchSilenceMicros)}, longest {Times.Text(b.LongestSilenceMicros)}");
    // After each: a measurement that is broken off is one of fewer runs. A timeline is drawn of the last one only.
    background = [.. background.Select((one, i) => i == background.Count - 1 ? one : one with { Answers = [] })];
    RebootMeasurement measured = new(guest, host, memoryMiB, (long)every.TotalMicroseconds, undisturbed, inPlace, background);
    File.WriteAllText(output, JsonSerializer.Serialize(measured, RebootMeasurementJson.Default.RebootMeasurement) + "\n");
}

return 0;

InPlaceRun RebootInPlace()
{
    Rest(aSecond);
    long begun = Stopwatch.GetTimestamp(), reset = 0;
    Task prompt = heartbeat.NextPrompt();
    JsonElement report = instance.Reboot(background: false, phase =>
    {
        // A booting kernel echoes what is typed, before anything answers: it is not asked, and not disturbed.
        if (phase != "reset") return;
        reset = Stopwatch.GetTimestamp();
        heartbeat.BeSilent();
        prompt = heartbeat.NextPrompt();
    });
    Wait(prompt);
    long back = Stopwatch.GetTimestamp();
    heartbeat.Ask();
    long first = heartbeat.FirstAfter(back, patience), last = heartbeat.Between(begun - Stopwatch.Frequency, reset)[^1];
    return new InPlaceRun(report.GetProperty("downtimeMicros").GetInt64(), Micros(last, first));
}

BackgroundRun RebootInBackground()
{
    Rest(aSecond);
    long begun = Stopwatch.GetTimestamp();
    Dictionary<string, long> entered = [];
    JsonElement report = instance.Reboot(background: true, phase => entered[phase] = Stopwatch.GetTimestamp());
    long ended = Stopwatch.GetTimestamp();
    if (report.GetProperty("outcome").GetString() != "switched") throw new InvalidOperationException($"the reboot ended as {report}");
    heartbeat.FirstAfter(ended, patience);
    Rest(aSecond);
    long end = Stopwatch.GetTimestamp();
    return new BackgroundRun(
        report.GetProperty("cloneMicros").GetInt64(),
        report.GetProperty("quiesceMicros").GetInt64(),
        report.GetProperty("switchMicros").GetInt64(),
        report.GetProperty("totalMillis").GetInt64(),
        Longest(entered["forking"], entered["old OS shuts down"]),
        Longest(entered["new OS is ready"], ended),
        Longest(begun, end),
        Silences(heartbeat.TurnsBetween(begun, end)).Max(),
        [.. entered.OrderBy(e => e.Value).Select(e => new PhaseStart(e.Key, Micros(begun, e.Value)))],
        [.. heartbeat.Between(begun, end).Select(a => Micros(begun, a))]);
}

// The longest silence that touches a span of time. Progress reaches this process a little late.
long Longest(long from, long to) =>
    Silences(heartbeat.Between(from - Ticks(margin), to + Ticks(margin))).DefaultIfEmpty(Micros(from, to)).Max();

void Rest(TimeSpan time) => heartbeat.FirstAfter(Stopwatch.GetTimestamp() + Ticks(time), patience);

void Wait(Task task)
{
    if (!task.Wait(patience)) throw new TimeoutException("no login prompt");
}

static IEnumerable<long> Silences(long[] answers) => answers.Skip(1).Select((a, i) => Micros(answers[i], a));
static long Ticks(TimeSpan time) => (long)(time.TotalSeconds * Stopwatch.Frequency);
static long Micros(long from, long to) => (long)Stopwatch.GetElapsedTime(from, to).TotalMicroseconds;
