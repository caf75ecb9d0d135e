using System.Globalization;

namespace Report;

/// <summary>Pauses as bench/Downtime samples them, by method, memory and vCPUs.</summary>
public sealed class PauseTable
{
    private readonly Dictionary<(string Method, int MemoryMiB, int Cpus), List<long>> _samples = [];

    /// <summary>Reads sample files: a header, then method, MiB, vCPUs, iteration, microseconds, and what else there is.</summary>
    /// <exception cref="FormatException">One is something else.</exception>
    public static PauseTable Read(IEnumerable<string> paths)
    {
        PauseTable table = new();
        foreach (string path in paths)
        {
            foreach (string line in File.ReadLines(path).Skip(1))
            {
                string[] cells = line.Split(',');
                if (cells.Length < 5) throw new FormatException($"{path}: no sample: {line}");
                table.Add(cells[0], Number(cells[1]), Number(cells[2]), Number(cells[4]));
            }
        }

        return table;

        static int Number(string cell) => int.Parse(cell, CultureInfo.InvariantCulture);
    }

    /// <summary>Every memory size that has samples, MiB, ascending.</summary>
    public IReadOnlyList<int> MemorySizes => [.. _samples.Keys.Select(k => k.MemoryMiB).Distinct().Order()];

    /// <summary>Every number of vCPUs that a method was measured with, ascending.</summary>
    public IReadOnlyList<int> CpuCounts(string method) =>
        [.. _samples.Keys.Where(k => k.Method == method).Select(k => k.Cpus).Distinct().Order()];

    /// <summary>Adds a sample.</summary>
    public void Add(string method, int memoryMiB, int cpus, long micros)
    {
        if (!_samples.TryGetValue((method, memoryMiB, cpus), out List<long>? samples)) _samples[(method, memoryMiB, cpus)] = samples = [];
        samples.Add(micros);
    }

    /// <summary>What a method took, or null where it was not measured.</summary>
    public Percentiles? Of(string method, int memoryMiB, int cpus = 1) =>
        _samples.TryGetValue((method, memoryMiB, cpus), out List<long>? samples) ? Percentiles.Of(samples) : null;

    /// <summary>A method's medians against memory, for a chart.</summary>
    public IReadOnlyList<(double MemoryMiB, double Micros)> Medians(string method) =>
        [.. MemorySizes.Select(m => (m, Of(method, m))).Where(p => p.Item2 is not null).Select(p => ((double)p.m, (double)p.Item2!.P50))];
}
