using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Xunit;

namespace Cloning.Tests.Cycles;

/// <summary>Any number of background reboots: the last one finds what the first one found.</summary>
public sealed class CyclesTests
{
    internal const string TieredCompilation = "DOTNET_TieredCompilation";

    // The process's caches and thread pool are complete by then.
    private const int WarmUp = 4;

    [Fact]
    public void Many_in_a_row_leave_nothing_behind_in_memory_descriptors_threads_mappings_files_or_chain()
    {
        // BGKVM_CYCLES=100 is the full form.
        int cycles = Environment.GetEnvironmentVariable("BGKVM_CYCLES") is { Length: > 0 } more
            ? int.Parse(more, CultureInfo.InvariantCulture) : 12;
        ProcessStartInfo start = new(Environment.ProcessPath!, [CyclesProcess.Verb, $"{cycles}"]) { RedirectStandardOutput = true };
        // A method is compiled again when it has been called 30 times: megabytes that the product, compiled ahead of time, does not have.
        start.Environment[TieredCompilation] = "0";
        using Process process = Process.Start(start)!;
        List<Holdings> seen = [];
        while (process.StandardOutput.ReadLine() is { } line)
        {
            seen.Add(JsonSerializer.Deserialize<Holdings>(line)!);
            TestContext.Current.TestOutputHelper?.WriteLine(line);
        }

        process.WaitForExit();
        Assert.Equal((0, cycles), (process.ExitCode, seen.Count));
        Holdings[] later = [.. seen.Skip(WarmUp)];
        Holdings first = later[0];
        int half = later.Length / 2;
        Assert.All(later, now => Assert.Equal(
            (first.Descriptors, first.Mappings, first.Files, first.ChainDepth, 0, 0),
            (now.Descriptors, now.Mappings, now.Files, now.ChainDepth, now.Cgroups, now.Children)));
        // The runtime adds and ends pool threads as it likes, and memory in steps: what matters is that none of it goes on growing.
        Assert.True(later.Max(now => now.Threads) <= first.Threads + 4, "threads grow");
        AssertFlat("heap, KiB", now => now.HeapKiB, slack: 64);
        AssertFlat("resident memory, KiB", now => now.ResidentKiB, slack: 4096);

        void AssertFlat(string what, Func<Holdings, long> figure, long slack)
        {
            long before = Median(later[..half], figure), after = Median(later[half..], figure);
            Assert.True(after <= before + slack, $"{what}: {before} in the first half, {after} in the second");
        }
    }

    private static long Median(Holdings[] of, Func<Holdings, long> figure) => of.Select(figure).Order().ElementAt(of.Length / 2);
}
