using System.Globalization;
using Disk;

if (args is not ([_, _] or [_, _, "--quick"]))
{
    Console.Error.WriteLine("usage: Disk IMAGES RESULTS-DIR [--quick]");
    return 2;
}

(string images, string results) = (Path.GetFullPath(args[0]), Path.GetFullPath(args[1]));
bool quick = args.Length == 3, emulated = Environment.GetEnvironmentVariable("BGKVM_RIG") == "1";
int repetitions = quick ? 3 : 9, milliseconds = emulated ? 300 : 2000;
Layout layout = new(repetitions, allocatingWrites: emulated ? 128 : 4096);
if (emulated)
{
    // Nothing but the monitors shall use the one processor: what is written stays in memory.
    File.WriteAllText("/proc/sys/vm/dirty_writeback_centisecs", "0");
    File.WriteAllText("/proc/sys/vm/dirty_background_ratio", "90");
    File.WriteAllText("/proc/sys/vm/dirty_ratio", "95");
}

string folder = Path.Combine(Environment.CurrentDirectory, "disk-bench");
List<Contender> contenders = [];
try
{
    string basis = Contender.MakeBase(folder, layout);
    contenders.Add(Contender.StartBgkvm(images, Path.Combine(folder, "bgkvm"), basis));
    foreach ((string aio, bool thread) in new[] { ("threads", false), ("io_uring", false), ("io_uring", true) })
        contenders.Add(Contender.StartQemu(aio, thread, images, Path.Combine(folder, $"{aio}-{thread}"), basis));

    Samples samples = new(layout.Jobs, [.. contenders.Select(contender => contender.Name)]);
    for (int repetition = 0; repetition < repetitions; repetition++)
    {
        foreach (FioJob[] jobs in layout.Jobs.GroupBy(job => job.Disk).Select(group => group.ToArray()))
        {
            // Each begins once, lest one of them always comes after the same other.
            for (int i = 0; i < contenders.Count; i++)
            {
                Contender contender = contenders[(i + repetition) % contenders.Count];
                foreach ((FioJob job, double result) in jobs.Zip(contender.Measure(jobs, milliseconds, repetition)))
                    samples.Add(job, contender.Name, result);
            }
        }

        Console.Error.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{repetition + 1} of {repetitions}\n{samples.Table()}"));
    }

    samples.Write(results, quick, emulated);
}
finally
{
    foreach (Contender contender in contenders) contender.Dispose();
    if (Directory.Exists(folder)) Directory.Delete(folder, recursive: true);
}

return 0;
