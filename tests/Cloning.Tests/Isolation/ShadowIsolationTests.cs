using Cloning.Isolation;
using VirtioBlk.Turns;
using Xunit;

namespace Cloning.Tests.Isolation;

/// <summary>What isolation does on every kind of host, against simulated ones.</summary>
public sealed class ShadowIsolationTests : IDisposable
{
    private const long GuestBytes = 512L << 20;
    private const string Name = "bgkvm-demo-shadow-4711";
    private const int SCHED_OTHER = 0, SCHED_IDLE = 5, IoIdle = 3 << 13;

    private readonly DiskActivity _foreground = DiskActivity.Create();

    [Fact]
    public void Version_2_as_root_in_a_login_session()
    {
        FakeHost host = new FakeHost { Privileged = true }.Unified("/sys/fs/cgroup",
            ("/", "cpuset cpu io memory pids"), ("/user.slice", "memory pids"), ("/user.slice/user-0.slice", "memory pids"),
            ("/user.slice/user-0.slice/session-1.scope", ""));
        using ShadowIsolation isolation = Apply(host);

        // The nearest group that hands the cpu controller down; the others come with it.
        string group = $"/sys/fs/cgroup/{Name}";
        Assert.Equal([group], host.Groups);
        Assert.Equal("4711", host[group + "/cgroup.procs"]);
        Assert.Equal("1", host[group + "/cpu.idle"]);
        Assert.Equal("1", host[group + "/io.weight"]);
        Assert.Equal("idle", host[group + "/io.prio.class"]);
        Assert.Equal($"{GuestBytes + ShadowIsolation.MemoryHeadroomBytes}", host[group + "/memory.high"]);
        Assert.Equal("1000", host["/proc/4711/oom_score_adj"]);
        Assert.All(host.Threads.Values, thread => Assert.Equal((SCHED_OTHER, 0, IoIdle), thread));
        Assert.Null(isolation.Report.Partial);
        Assert.DoesNotContain(isolation.Report.Measures, measure => !measure.Applied);
    }

    [Theory]
    [InlineData(1, RebootPriority.Idle, false)]
    [InlineData(2, RebootPriority.Idle, true)]
    [InlineData(2, RebootPriority.Low, false)]
    public void Memory_is_regulated_where_two_can_use_it_at_once(int processors, RebootPriority priority, bool applied)
    {
        FakeHost host = new FakeHost { Processors = processors }.Unified("/sys/fs/cgroup", ("/", "cpu"));
        using ShadowIsolation isolation = ShadowIsolation.Apply(host, "demo", FakeHost.Shadow, GuestBytes, _foreground, priority);
        Assert.Contains(isolation.Report.Measures,
            measure => measure is { Resource: IsolatedResource.Memory, Mechanism: "regulator" } && measure.Applied == applied);
    }

    [Fact]
    public void Version_2_of_a_systemd_user_manager()
    {
        const string user = "/user.slice/user-1000.slice/user@1000.service";
        FakeHost host = new FakeHost().Unified("/sys/fs/cgroup",
            ("/", "cpu io memory pids"), ("/user.slice", "cpu io memory pids"), ("/user.slice/user-1000.slice", "cpu memory pids"),
            (user, "cpu memory pids"), (user + "/app.slice", "cpu memory pids"), (user + "/app.slice/run-1.scope", ""));
        host.ReadOnly.AddRange(["/sys/fs/cgroup/bgkvm", "/sys/fs/cgroup/user.slice/bgkvm", "/sys/fs/cgroup/user.slice/user-1000.slice/bgkvm"]);
        using ShadowIsolation isolation = Apply(host);

        Assert.Equal([$"/sys/fs/cgroup{user}/app.slice/{Name}"], host.Groups);
        Assert.Null(isolation.Report.Partial); // the disk has the threads' I/O class
        Assert.Contains(isolation.Report.Measures, m => m is { Mechanism: "io.weight", Applied: false } && m.Detail.Contains("not handed down", StringComparison.Ordinal));
    }

    [Fact]
    public void Version_2_without_the_right_to_make_a_group()
    {
        FakeHost host = new FakeHost().Unified("/sys/fs/cgroup", ("/", "cpu io memory pids"), ("/user.slice", "cpu memory"), ("/user.slice/session-3.scope", ""));
        host.ReadOnly.Add("/sys/fs/cgroup/");
        using ShadowIsolation isolation = Apply(host);

        Assert.Empty(host.Groups);
        // Not SCHED_IDLE: nobody could lift that again.
        Assert.All(host.Threads.Values, thread => Assert.Equal((SCHED_OTHER, 19, IoIdle), thread));
        Assert.Equal("1000", host["/proc/4711/oom_score_adj"]);
        Assert.Contains("niceness only (Access to the path", isolation.Report.Partial, StringComparison.Ordinal);
        Assert.Contains("memory by oom_score_adj only", isolation.Report.Partial, StringComparison.Ordinal);
    }

    [Fact]
    public void Read_only_cgroups_with_the_right_to_raise_priorities_use_SCHED_IDLE_and_undo_it()
    {
        FakeHost host = new FakeHost { Privileged = true }.Unified("/sys/fs/cgroup", ("/", "cpu io memory"));
        host.ReadOnly.Add("/sys/fs/cgroup/");
        using ShadowIsolation isolation = Apply(host);

        Assert.All(host.Threads.Values, thread => Assert.Equal(SCHED_IDLE, thread.Policy));
        Assert.DoesNotContain("niceness", isolation.Report.Partial, StringComparison.Ordinal);
        isolation.Lift();
        Assert.All(host.Threads.Values, thread => Assert.Equal((SCHED_OTHER, 0, 0), thread));
    }

    [Theory]
    [InlineData("cpu,cpuacct")]
    [InlineData("cpu")]
    public void Version_1(string cpu)
    {
        FakeHost host = new FakeHost { Privileged = true }
            .Old(1, cpu, $"/sys/fs/cgroup/{cpu}", "/user").Old(2, "blkio", "/sys/fs/cgroup/blkio", "/user").Old(3, "memory", "/sys/fs/cgroup/memory", "/user");
        host.FilesOf["v1 cpu"] = ["cpu.shares"]; // before Linux 5.15
        using ShadowIsolation isolation = Apply(host);

        Assert.Equal([$"/sys/fs/cgroup/blkio/user/{Name}", $"/sys/fs/cgroup/{cpu}/user/{Name}"], host.Groups);
        Assert.Equal("2", host[$"/sys/fs/cgroup/{cpu}/user/{Name}/cpu.shares"]);
        Assert.Equal("1", host[$"/sys/fs/cgroup/blkio/user/{Name}/blkio.bfq.weight"]);
        Assert.Equal("idle", host[$"/sys/fs/cgroup/blkio/user/{Name}/blkio.prio.class"]);
        Assert.Equal("memory by oom_score_adj only (cgroup version 1 cannot slow a group down for its memory)", isolation.Report.Partial);
    }

    [Fact]
    public void Hybrid_with_an_empty_version_2_beside_it()
    {
        FakeHost host = new FakeHost { Privileged = true }
            .Old(1, "cpu", "/sys/fs/cgroup/cpu", "/").Unified("/sys/fs/cgroup/unified", ("/", ""));
        using ShadowIsolation isolation = Apply(host);

        Assert.Equal([$"/sys/fs/cgroup/cpu/{Name}"], host.Groups);
        Assert.Equal("1", host[$"/sys/fs/cgroup/cpu/{Name}/cpu.idle"]);
        Assert.Contains(isolation.Report.Measures,
            m => m is { Mechanism: "io.weight", Applied: false } && m.Detail.Contains("hands the io controller down", StringComparison.Ordinal));
    }

    [Fact]
    public void A_container_sees_its_part_of_the_tree_as_the_root()
    {
        FakeHost host = new FakeHost { Privileged = true }.Old(1, "cpu", "/sys/fs/cgroup/cpu", "/docker/abc", root: "/docker/abc");
        using ShadowIsolation isolation = Apply(host);
        Assert.Equal([$"/sys/fs/cgroup/cpu/{Name}"], host.Groups);
    }

    [Fact]
    public void A_host_without_cgroups()
    {
        FakeHost host = new();
        using ShadowIsolation isolation = Apply(host);
        Assert.All(host.Threads.Values, thread => Assert.Equal((SCHED_OTHER, 19, IoIdle), thread));
        Assert.Contains("no cgroup hierarchy with the cpu controller is mounted", isolation.Report.Partial, StringComparison.Ordinal);
    }

    [Fact]
    public void Priorities_rise_step_by_step_and_lifting_is_for_good()
    {
        FakeHost host = new FakeHost { Privileged = true }.Unified("/sys/fs/cgroup", ("/", "cpu io memory"));
        string group = $"/sys/fs/cgroup/{Name}";
        using (ShadowIsolation isolation = Apply(host))
        {
            isolation.Raise();
            Assert.Equal(RebootPriority.Low, isolation.Report.Priority);
            Assert.Equal(("0", "10", "10"), (host[group + "/cpu.idle"], host[group + "/cpu.weight"], host[group + "/io.weight"]));
            Assert.Equal(TimeSpan.Zero, _foreground.PreemptionInterval);
            isolation.Raise();
            isolation.Raise();
            Assert.True(_foreground.PreemptionInterval < TimeSpan.Zero);
            Assert.Equal((RebootPriority.Normal, (string?)null), (isolation.Report.Priority, isolation.Report.Partial));
            Assert.Equal(("0", "100", "100"), (host[group + "/cpu.idle"], host[group + "/cpu.weight"], host[group + "/io.weight"]));
        }

        Assert.Empty(host.Groups);
        using ShadowIsolation next = Apply(host);
        next.Lift();
        next.Raise();
        Assert.Equal(RebootPriority.Idle, next.Report.Priority); // what was in force while it worked
        Assert.Equal(("0", "100", "max"), (host[group + "/cpu.idle"], host[group + "/cpu.weight"], host[group + "/memory.high"]));
        Assert.All(host.Threads.Values, thread => Assert.Equal((SCHED_OTHER, 0, 0), thread));
    }

    [Fact]
    public void Threads_that_appear_meanwhile_are_not_forgotten()
    {
        FakeHost host = new() { Privileged = true };
        using ShadowIsolation isolation = Apply(host);
        host.Threads[Shadow.Late] = (SCHED_IDLE, 19, IoIdle);
        isolation.Lift();
        Assert.Equal((SCHED_OTHER, 0, 0), host.Threads[Shadow.Late]);
    }

    [Fact]
    public async Task What_a_killed_instance_left_is_swept_up_and_another_instance_is_left_alone()
    {
        FakeHost host = new FakeHost { Privileged = true }.Unified("/sys/fs/cgroup", ("/", "cpu"), ("/system.slice", "cpu"), ("/system.slice/a.service", ""));
        host.MakeDirectory("/sys/fs/cgroup/bgkvm-demo-shadow-1");
        host.MakeDirectory("/sys/fs/cgroup/system.slice/bgkvm-demo-shadow-2");
        host.MakeDirectory("/sys/fs/cgroup/system.slice/bgkvm-demo-2-shadow-3");
        await ShadowGroups.SweepAsync(host, "demo");
        Assert.Equal(["/sys/fs/cgroup/system.slice/bgkvm-demo-2-shadow-3"], host.Groups);
    }

    [Fact]
    public async Task A_group_whose_shadow_is_still_ending_goes_when_it_has()
    {
        FakeHost host = new FakeHost { Privileged = true }.Unified("/sys/fs/cgroup", ("/", "cpu"));
        string group = "/sys/fs/cgroup/bgkvm-demo-shadow-1";
        host.MakeDirectory(group);
        host.Busy.Add(group);
        Task swept = ShadowGroups.SweepAsync(host, "demo");
        Assert.False(swept.IsCompleted);
        host.Busy.Clear();
        await swept;
        Assert.Empty(host.Groups);
    }

    public void Dispose() => _foreground.Dispose();

    private ShadowIsolation Apply(FakeHost host) =>
        ShadowIsolation.Apply(host, "demo", FakeHost.Shadow, GuestBytes, _foreground, RebootPriority.Idle);

    private static class Shadow
    {
        public const int Late = FakeHost.Shadow + 7;
    }
}
