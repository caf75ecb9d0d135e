using System.Diagnostics;
using System.Text.RegularExpressions;
using TestKit;
using Xunit;

namespace Cloning.Tests;

/// <summary>
/// Every system call between the request to stop and the guest's running again, by all threads that take part, seen by strace and
/// compared with pause-syscalls.txt. Whoever adds one finds it here.
/// </summary>
public sealed partial class PauseSyscallTests
{
    // A vCPU: leaves KVM_RUN by the kick, drains, parks, is woken, runs.
    // It looks at its timer, and where a one-shot timer has expired has KVM inject it.
    private static readonly HashSet<string> s_vcpu =
        ["futex", "getpid", "gettid", "rt_sigreturn", "KVM_RUN", "KVM_GET_LAPIC", "KVM_SET_SIGNAL_MASK", "rt_sigprocmask", "tgkill"];
    // Other threads are the runtime's: they may sleep and wake.
    private static readonly HashSet<string> s_other = ["futex", "sched_yield", "poll", "read", "madvise", "clock_nanosleep", "restart_syscall"];

    [Fact]
    public void Nothing_else_is_called_in_a_pause()
    {
        string trace = Path.GetTempFileName();
        try
        {
            Trace(trace);
            List<string[]> calls = [.. File.ReadLines(trace).Select(l => Call().Match(l)).Where(m => m.Success)
                .Select(m => new[] { m.Groups[1].Value, Name(m.Groups[2].Value, m.Groups[3].Value), m.Groups[3].Value })];
            // Of the whole trace: one that is in the guest all along enters it in no pause.
            HashSet<string> vcpus = [.. calls.Where(c => c[1] == "KVM_RUN").Select(c => c[0])];
            foreach (IGrouping<string, List<string[]>> kind in Sections(calls).GroupBy(s => s.Kind, s => s.Calls))
            {
                // In the first one methods are compiled, which is the test's build, not the product's.
                List<List<string[]>> pauses = [.. kind.Skip(1)];
                Assert.True(pauses.Count >= 2, $"only {pauses.Count} pauses seen: {kind.Key}");
                foreach (List<string[]> pause in pauses) AssertListed(kind.Key, pause, vcpus);
            }
        }
        finally
        {
            File.Delete(trace);
        }
    }

    private static void Trace(string output)
    {
        ProcessStartInfo start = new("strace",
            ["-f", "-o", output, Repository.PathOf("artifacts", "bin", "Pauses", "debug", "Pauses"), "2", "16", "1"])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        // Compiling again in the background, and mapping code a second time in order to patch it, are this build's ways, not those of
        // the product, which is compiled ahead of time.
        start.Environment["DOTNET_TieredCompilation"] = "0";
        start.Environment["DOTNET_EnableWriteXorExecute"] = "0";
        using Process strace = Process.Start(start)!;
        Task<string> errors = strace.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        strace.StandardOutput.ReadToEnd();
        strace.WaitForExit();
        Assert.True(strace.ExitCode == 0, errors.Result);
    }

    /// <summary>From the first kick of an urgent thread until it waits for the vCPUs' entry.</summary>
    private static IEnumerable<(string Kind, List<string[]> Calls)> Sections(List<string[]> calls)
    {
        for (int i = 0; i < calls.Count; i++)
        {
            // Only the pausing thread gets this priority (Cloning.PauseScope).
            if (calls[i][1] != "sched_setattr" || !calls[i][2].Contains("sched_priority=2", StringComparison.Ordinal)) continue;
            string pausing = calls[i][0];
            int kick = calls.FindIndex(i, c => c[0] == pausing && c[1] == "tgkill");
            int end = calls.FindIndex(i, c => c[0] == pausing && c[1] is "clock_nanosleep" or "nanosleep");
            Assert.True(i < kick && kick < end);
            List<string[]> pause = calls[kick..end];
            yield return (pause.Any(c => c[1] == "rename") ? "switch" : "clone", pause);
            i = end;
        }
    }

    private static void AssertListed(string kind, List<string[]> pause, HashSet<string> vcpus)
    {
        string pausing = pause[0][0];
        foreach (string[] call in pause.Where(c => c[0] != pausing))
        {
            HashSet<string> allowed = vcpus.Contains(call[0]) ? s_vcpu : s_other;
            Assert.True(allowed.Contains(call[1]), $"{kind}: thread {call[0]} calls {call[1]}({call[2]}");
        }

        // Waiting and waking are futexes, as many as it takes; so are kicks, where the tracer makes a vCPU late.
        List<string> seen = [.. pause.Where(c => c[0] == pausing && c[1] is not ("futex" or "tgkill" or "gettid")).Select(c => c[1])];
        int at = 0;
        foreach (string line in Listed(kind))
        {
            string[] names = line.TrimEnd('?').Split('|');
            if (at < seen.Count && names.Contains(seen[at])) at++;
            else Assert.True(line.EndsWith('?'), $"{kind}: {line} should come after {string.Join(' ', seen[..at])}, not {seen.ElementAtOrDefault(at)}");
        }

        Assert.True(at == seen.Count, $"{kind}: not in the list: {string.Join(' ', seen[at..])}");
    }

    private static IEnumerable<string> Listed(string kind) =>
        File.ReadLines(Path.Combine(AppContext.BaseDirectory, "pause-syscalls.txt"))
            .SkipWhile(l => l != $"[{kind}]").Skip(1).TakeWhile(l => !l.StartsWith('[')).Where(l => l.Length > 0);

    private static string Name(string call, string arguments) =>
        call == "ioctl" && Request().Match(arguments) is { Success: true } request ? request.Groups[1].Value : call;

    [GeneratedRegex(@"^(\d+) +(\w+)\((.*)")]
    private static partial Regex Call();

    [GeneratedRegex(@"^\d+, (KVM_\w+)")]
    private static partial Regex Request();
}
