using System.Globalization;
using Cloning.Instances;
using Cloning.Isolation;
using Xunit;

namespace Cloning.Tests.Isolation;

/// <summary>Isolation on this host as it is, read back from /proc, with a real shadow.</summary>
public sealed class HostIsolationTests
{
    [Fact]
    public async Task A_shadow_is_under_what_the_status_says_and_the_new_OS_is_under_none_of_it()
    {
        using TestInstance guest = new('1');
        guest.Install('2');
        InstanceStatus? during = null;
        ThreadView[] shadow = [];
        string score = "";
        guest.Entered = phase =>
        {
            if (phase != RebootPhase.Fork) return;
            during = guest.Instance.Status();
            shadow = ThreadView.Of(during.ShadowPid!.Value);
            score = File.ReadAllText($"/proc/{during.ShadowPid}/oom_score_adj").Trim();
        };
        // Raised soon: on a host that has no time left over the rest would take as long as that lasts.
        RebootReport done = await guest.Instance.RebootAsync(
            Request(TimeSpan.FromSeconds(180)) with { MaxDuration = TimeSpan.FromSeconds(2) }, new Observer(guest), TestContext.Current.CancellationToken);
        Assert.Equal((RebootOutcome.Switched, (string?)null), (done.Outcome, done.Reason));

        IsolationReport report = during!.Isolation!;
        Assert.Equal(RebootPriority.Idle, report.Priority);
        Assert.NotEmpty(shadow);
        string group = $"bgkvm-tiny-shadow-{during.ShadowPid}";
        foreach (IsolationMeasure applied in report.Measures.Where(measure => measure.Applied))
        {
            switch (applied.Mechanism)
            {
                case "cpu.idle" or "cpu.shares":
                    Assert.All(shadow, thread => Assert.Contains(group, thread.Cgroups, StringComparison.Ordinal));
                    break;
                case "SCHED_IDLE":
                    Assert.All(shadow, thread => Assert.Equal(5, thread.Policy));
                    break;
                case "nice":
                    Assert.All(shadow, thread => Assert.Equal(19, thread.Nice));
                    break;
                case "oom_score_adj":
                    Assert.Equal("1000", score);
                    break;
            }
        }

        // The instance's process runs the new OS now. Its merging thread alone works on left-over time.
        ThreadView[] instance = [.. ThreadView.Of(Environment.ProcessId).Where(thread => thread.Name != ChainMerging)];
        Assert.Contains(instance, thread => thread.Name.StartsWith("vcpu", StringComparison.Ordinal));
        Assert.All(instance, thread =>
        {
            Assert.DoesNotContain("shadow", thread.Cgroups, StringComparison.Ordinal);
            Assert.True(thread.Nice <= 0 && thread.Policy != 5, $"{thread} is left on idle time");
        });
        Assert.Empty(ShadowGroups.Find(new IsolationHost(), group));
    }

    [Fact]
    public async Task A_reboot_that_takes_too_long_is_raised_step_by_step()
    {
        using TestInstance guest = new('1');
        guest.Install('2', TestKit.Guests.TinyOsBoot.Hangs);
        using CancellationTokenSource enough = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        Task<RebootReport> reboot = guest.Instance.RebootAsync(
            Request(TimeSpan.FromSeconds(60)) with { MaxDuration = TimeSpan.FromSeconds(3) }, new Observer(guest), enough.Token);
        List<RebootPriority> seen = [];
        while (seen.LastOrDefault() != RebootPriority.Normal && !reboot.IsCompleted)
        {
            if (guest.Instance.Status().Isolation is { } now && (seen.Count == 0 || seen[^1] != now.Priority)) seen.Add(now.Priority);
            await Task.Delay(20, TestContext.Current.CancellationToken);
        }

        Assert.Equal([RebootPriority.Idle, RebootPriority.Low, RebootPriority.Normal], seen);
        await enough.CancelAsync();
        Assert.Equal(RebootOutcome.Aborted, (await reboot).Outcome);
    }

    [Fact]
    public async Task A_reboot_that_takes_too_long_is_given_up_where_that_is_asked_for()
    {
        using TestInstance guest = new('1');
        guest.Install('2', TestKit.Guests.TinyOsBoot.Hangs);
        RebootReport report = await guest.Instance.RebootAsync(
            Request(TimeSpan.FromSeconds(120)) with { MaxDuration = TimeSpan.FromSeconds(4), OnMaxDuration = OverrunAction.Abort },
            new Observer(guest), TestContext.Current.CancellationToken);
        Assert.Equal(RebootOutcome.Aborted, report.Outcome);
        Assert.Contains("within 4 s", report.Reason, StringComparison.Ordinal);
        guest.Ask('v', "<1>");
    }

    private const string ChainMerging = "upkeep";

    private static RebootRequest Request(TimeSpan timeout) => new(RebootMode.Background, ShutdownMode.Reset, QuiesceMode.None, timeout);

    private sealed class Observer(TestInstance guest) : IProgress<RebootProgress>
    {
        public void Report(RebootProgress value) => guest.Entered?.Invoke(value.Phase);
    }

    /// <summary>A thread as /proc shows it.</summary>
    private sealed record ThreadView(string Name, int Nice, int Policy, string Cgroups)
    {
        public static ThreadView[] Of(int pid) => [.. Directory.EnumerateDirectories($"/proc/{pid}/task").Select(Read).OfType<ThreadView>()];

        private static ThreadView? Read(string task)
        {
            try
            {
                // proc_pid_stat(5): behind the name come fields 3 and up; 19 is the niceness, 41 the policy.
                string stat = File.ReadAllText($"{task}/stat");
                string[] fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
                string name = stat[(stat.IndexOf('(', StringComparison.Ordinal) + 1)..stat.LastIndexOf(')')];
                return new ThreadView(name, Number(fields[16]), Number(fields[38]), File.ReadAllText($"{task}/cgroup"));
            }
            catch (IOException)
            {
                return null; // it ended meanwhile
            }
        }

        private static int Number(string field) => int.Parse(field, CultureInfo.InvariantCulture);
    }
}
