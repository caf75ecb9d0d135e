using Disk;

if (args is not ([_, _] or [_, _, "--quick"]))
{
    Console.Error.WriteLine("usage: Disk IMAGES RESULTS-DIR [--quick]");
    return 2;
}

(string images, string results) = (Path.GetFullPath(args[0]), Path.GetFullPath(args[1]));
bool quick = args.Length == 3, emulated = Environment.GetEnvironmentVariable("BGKVM_RIG") == "1";
int repetitions = quick ? 1 : 5, milliseconds = emulated ? 300 : 2000;
Layout layout = new(repetitions, allocatingWrites: emulated ? 256 : 4096);
if (emulated)
{
    // Nothing but the monitors shall use the one processor: what is written stays in memory.
    File.WriteAllText("/proc/sys/vm/dirty_writeback_centisecs", "0");
    File.WriteAllText("/proc/sys/vm/dirty_background_ratio", "90");
    File.WriteAllText("/proc/sys/vm/dirty_ratio", "95");
}

string folder = Path.Combine(Environment.CurrentDirectory, "disk-bench");
List<Disk.Monitor> monitors = [];
try
{
    string basis = Disk.Monitor.MakeBase(folder, layout);
    monitors.Add(Disk.Monitor.StartBgkvm(images, Path.Combine(folder, "bgkvm"), basis));
    Console.Error.WriteLine("bgkvm ready");
    foreach (string aio in (string[])["threads", "io_uring"])
    {
        foreach (bool thread in (bool[])[false, true])
        {
            monitors.Add(Disk.Monitor.StartQemu(aio, thread, images, Path.Combine(folder, $"{aio}-{thread}"), basis));
            Console.Error.WriteLine($"{monitors[^1].Name} ready");
        }
    }

    Samples samples = new(layout.Jobs, [.. monitors.Select(monitor => monitor.Name)]);
    for (int repetition = 0; repetition < repetitions; repetition++)
    {
        foreach (FioJob[] jobs in layout.Jobs.GroupBy(job => job.Disk).Select(group => group.ToArray()))
        {
            foreach (Disk.Monitor monitor in monitors)
            {
                foreach ((FioJob job, double result) in jobs.Zip(monitor.Measure(jobs, milliseconds, repetition)))
                    samples.Add(job, monitor.Name, result);
            }

            foreach (FioJob job in jobs) Console.Error.WriteLine($"{repetition + 1}/{repetitions} {samples.Line(job)}");
        }
    }

    samples.Write(results);
}
finally
{
    foreach (Disk.Monitor monitor in monitors) monitor.Dispose();
    if (Directory.Exists(folder)) Directory.Delete(folder, recursive: true);
}

return 0;
