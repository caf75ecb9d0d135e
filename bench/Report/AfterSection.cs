using System.Globalization;

namespace Report;

/// <summary>What a guest pays for a pause after it, from what <c>Pauses after</c> prints.</summary>
internal static class AfterSection
{
    /// <summary>Reads samples and makes the section; nothing where there are none.</summary>
    /// <exception cref="FormatException">A file holds something else.</exception>
    internal static IEnumerable<string> Write(IReadOnlyList<string> paths)
    {
        if (paths.Count == 0) yield break;
        yield return "## After the pause";
        yield return "";
        yield return "A guest that writes a word to each of its pages in turn, 1 vCPU: how much of its rate before the pause it keeps after it, and what " +
            "its first round takes longer than one before. *Populated*: the next machine's page tables are filled before the pause, as bgkvm does for a switch. Medians.";
        yield return "";
        MarkdownTable table = new("pause", "memory", "page tables", "cycles", "first 10 ms", "first 100 ms", "first second", "first round, longer by");
        foreach (var group in paths.SelectMany(Read).GroupBy(s => (s.Pause, s.MemoryMiB, s.Populated)).OrderBy(g => g.Key.Pause, StringComparer.Ordinal)
            .ThenBy(g => g.Key.MemoryMiB).ThenBy(g => g.Key.Populated))
        {
            table.Add(group.Key.Pause.ToLowerInvariant(), DowntimeReport.Size(group.Key.MemoryMiB), group.Key.Populated ? "populated" : "cold",
                $"{group.Count()}", Share(group, s => s.First10), Share(group, s => s.First100), Share(group, s => s.FirstSecond),
                Median(group, s => s.RoundMicros) is > 0 and var longer ? Times.Text(longer) : "-");
        }

        yield return table.ToString();
    }

    private static IEnumerable<Sample> Read(string path)
    {
        foreach (string line in File.ReadLines(path).Skip(1))
        {
            string[] cells = line.Split(',');
            if (cells.Length != 9) throw new FormatException($"{path}: no sample: {line}");
            yield return new Sample(cells[0], (int)Number(cells[1]), cells[2] == "1", Number(cells[5]), Number(cells[6]), Number(cells[7]), Number(cells[8]));
        }

        static double Number(string cell) => double.Parse(cell, CultureInfo.InvariantCulture);
    }

    private static string Share(IEnumerable<Sample> samples, Func<Sample, double> figure) =>
        (100 * Median(samples, figure)).ToString("0", CultureInfo.InvariantCulture) + " %";

    private static double Median(IEnumerable<Sample> samples, Func<Sample, double> figure)
    {
        double[] ordered = [.. samples.Select(figure).Order()];
        return ordered[(ordered.Length - 1) / 2];
    }

    private sealed record Sample(string Pause, int MemoryMiB, bool Populated, double First10, double First100, double FirstSecond, double RoundMicros);
}
