using System.Text.Json;
using Xunit;

namespace Report.Tests;

/// <summary>What goes into a report comes out of it.</summary>
public sealed class ReportTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("bgkvm-report-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Percentiles_are_measured_values_by_nearest_rank()
    {
        Assert.Equal(new Percentiles(200, 100, 190, 198, 200), Percentiles.Of(Enumerable.Range(1, 200).Select(n => (long)n).Reverse()));
        Assert.Equal(new Percentiles(1, 7, 7, 7, 7), Percentiles.Of([7]));
        Assert.Throws<ArgumentException>(() => Percentiles.Of([]));
    }

    [Theory]
    [InlineData(0, "0.00 µs")]
    [InlineData(296, "296 µs")]
    [InlineData(2451, "2.45 ms")]
    [InlineData(13413, "13.4 ms")]
    [InlineData(252315, "252 ms")]
    [InlineData(12558993, "12.6 s")]
    public void Times_have_three_digits_and_a_unit(long micros, string text) => Assert.Equal(text, Times.Text(micros));

    [Fact]
    public void A_table_is_aligned_and_refuses_a_row_that_does_not_fit()
    {
        MarkdownTable table = new("", "p50");
        table.Add("clone", "296");
        Assert.Equal("|       | p50 |\n|-------|----:|\n| clone | 296 |\n", table.ToString());
        Assert.Throws<ArgumentException>(() => table.Add("clone"));
    }

    [Fact]
    public void A_report_holds_every_pause_and_draws_both_jobs()
    {
        string samples = Directory.CreateDirectory(Path.Combine(_folder, "samples")).FullName;
        File.WriteAllText(Path.Combine(samples, "a.csv"),
            "method,memory_mib,vcpus,iteration,pause_us,allocated_bytes\nClone,128,1,1,300,32\nClone,128,1,2,310,32\nClone,128,2,1,400,32\nSwitch,128,1,1,140,0\n");
        File.WriteAllText(Path.Combine(samples, "b.csv"), "method,memory_mib,vcpus,iteration,pause_us,allocated_bytes\nQemuSave,8192,1,1,12000000,\n");
        DowntimeReport.Write(_folder);

        string text = File.ReadAllText(Path.Combine(_folder, "report.md"));
        Assert.Contains("| clone  | 128 MiB |     1 |      2 | 300 | 310 | 310 | 310 |", text, StringComparison.Ordinal);
        Assert.Contains("QEMU stop, save, go on", text, StringComparison.Ordinal);
        JsonElement pauses = JsonDocument.Parse(File.ReadAllText(Path.Combine(_folder, "report.json"))).RootElement.GetProperty("pauses");
        Assert.Equal(4, pauses.GetArrayLength());
        Assert.Contains("bgkvm clone", File.ReadAllText(Path.Combine(_folder, "clone.svg")), StringComparison.Ordinal);
        Assert.Contains("bgkvm switch", File.ReadAllText(Path.Combine(_folder, "switch.svg")), StringComparison.Ordinal);
    }

    [Fact]
    public void What_comes_after_a_pause_is_a_median_for_each_form()
    {
        string after = Directory.CreateDirectory(Path.Combine(_folder, "after")).FullName;
        string[] samples = ["Clone,128,0,0,100000,0.2,0.3,0.4,500000", "Clone,128,0,1,100000,0.1,0.2,0.3,700000", "Clone,128,0,2,100000,0.4,0.5,0.6,600000",
            "Clone,128,1,0,100000,0.9,0.95,1.0,-20"];
        File.WriteAllText(Path.Combine(after, "after-128.csv"), "header\n" + string.Join('\n', samples) + "\n");
        DowntimeReport.Write(_folder);
        string text = File.ReadAllText(Path.Combine(_folder, "report.md"));
        Assert.Contains("| clone | 128 MiB |        cold |      3 |        20 % |         30 % |         40 % |                 600 ms |", text, StringComparison.Ordinal);
        Assert.Contains("| clone | 128 MiB |   populated |      1 |        90 % |         95 % |        100 % |                      - |", text, StringComparison.Ordinal);
        File.WriteAllText(Path.Combine(after, "other.csv"), "header\nnonsense\n");
        Assert.Throws<FormatException>(() => DowntimeReport.Write(_folder));
    }

    [Fact]
    public void A_report_of_reboots_compares_in_place_with_background_and_names_the_worst()
    {
        string reboots = Directory.CreateDirectory(Path.Combine(_folder, "reboots")).FullName;
        BackgroundRun Run(long clone, long outside) => new(
            clone, 1000, 500, 20_000, outside, 3000, outside, 9000, [new PhaseStart("forking", 100_000), new PhaseStart("switching", 19_000_000)],
            [50_000, 100_000, 100_000 + outside, 20_000_000]);
        RebootMeasurement measured = new("demo", "emulated", 256, 10_000, new Percentiles(9, 11_000, 12_000, 12_000, 20_000),
            [new InPlaceRun(10_000_000, 11_000_000)], [Run(1500, 20_000), Run(2500, 500_000)]);
        File.WriteAllText(Path.Combine(reboots, "demo-256.json"), JsonSerializer.Serialize(measured, RebootMeasurementJson.Default.RebootMeasurement));
        DowntimeReport.Write(_folder);

        string[] lines = File.ReadAllLines(Path.Combine(_folder, "report.md"));
        Assert.Contains(lines, l => l.Contains("All of it in the emulated machine", StringComparison.Ordinal));
        // 1 - 0.003 / 10; 1 - 0.023 / 11; 1 - 0.503 / 11
        Assert.Contains(lines, l => l.Contains("99.97 %", StringComparison.Ordinal) && l.Contains("99.79 %", StringComparison.Ordinal) && l.Contains("95.43 %", StringComparison.Ordinal));
        Assert.Contains("switching", File.ReadAllText(Path.Combine(_folder, "timeline-demo.svg")), StringComparison.Ordinal);
    }

    [Fact]
    public void A_file_that_is_no_sample_file_is_refused()
    {
        string path = Path.Combine(_folder, "odd.csv");
        File.WriteAllText(path, "header\nClone,128\n");
        Assert.Throws<FormatException>(() => PauseTable.Read([path]));
    }
}
