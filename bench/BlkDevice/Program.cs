using System.Diagnostics;
using System.Globalization;
using BlkDevice;
using TestKit.Virtio;
using Virtio;
using VirtioBlk;
using VirtioBlk.Store;

// Requests a second that the block device serves to a driver in the same process: no guest, no KVM. The file is in the page cache.
if (args.Length != 1)
{
    Console.Error.WriteLine("usage: BlkDevice FOLDER    (a folder on the file system to measure on)");
    return 2;
}

const int Rounds = 9;
TimeSpan round = TimeSpan.FromMilliseconds(400);
string path = Path.Combine(args[0], "blkdevice.raw");
try
{
    using (FileStream file = File.Create(path)) file.Write(new byte[Load.DiskBytes]);
    using RawDisk disk = RawDisk.Open(path, readOnly: false);
    Console.WriteLine("| requests of 4 KiB | depth | EVENT_IDX | requests/s, median | interrupts a request |");
    Console.WriteLine("|---|---|---|---|---|");
    foreach (uint type in (uint[])[BlkDriver.In, BlkDriver.Out])
    {
        foreach (int depth in (int[])[1, 32])
        {
            foreach (bool eventIdx in (bool[])[true, false])
            {
                using TestMemory memory = new();
                using VirtioBlkDevice device = new(disk, "bench", "blk0");
                TestLine line = new();
                MockDriver driver = new(new VirtioMmioTransport(device, memory.Memory, line), memory, line);
                Load load = new(driver, type, depth, eventIdx);
                load.Run(round); // warm
                List<double> rates = [];
                (long edges, long served) = (line.Edges, load.Served);
                for (int i = 0; i < Rounds; i++)
                {
                    long before = load.Served, begin = Stopwatch.GetTimestamp();
                    load.Run(round);
                    rates.Add((load.Served - before) / Stopwatch.GetElapsedTime(begin).TotalSeconds);
                }

                rates.Sort();
                double interrupts = (line.Edges - edges) / (double)(load.Served - served);
                Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
                    $"| {(type == BlkDriver.In ? "read" : "write")} | {depth} | {(eventIdx ? "yes" : "no")} | {rates[Rounds / 2]:N0} | {interrupts:F2} |"));
            }
        }
    }
}
finally
{
    File.Delete(path);
}

return 0;
