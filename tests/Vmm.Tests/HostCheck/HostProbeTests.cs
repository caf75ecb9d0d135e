using System.Diagnostics;
using Kvm.Interop;
using TestKit;
using Vmm.HostCheck;
using Xunit;

namespace Vmm.Tests.HostCheck;

/// <summary>What doctor and start say about this host is true. A host without /dev/kvm fails here, on purpose.</summary>
[Collection("host probe")] // one at a time: it looks for what a probe leaves behind
public sealed class HostProbeTests(ITestOutputHelper output)
{
    public static TheoryData<bool> BothForms => [true, false];

    [Theory]
    [MemberData(nameof(BothForms))]
    public void The_verdict_is_that_of_the_hardware(bool quick)
    {
        HostReport report = quick ? HostProbe.RunQuick() : HostProbe.Run();
        foreach (HostCheckResult check in report.Checks) output.WriteLine(check.ToString());
        output.WriteLine(report.Verdict.ToString());

        Assert.Equal(!SoftwareKvm.IsHere, report.Verdict.LinuxCanRun);
        Assert.Equal(quick, report.Facts is null);
        Assert.Equal(report.Verdict.LinuxCanRun, report.Checks.All(c => c.Status != CheckStatus.Fail));
        Assert.Equal(report.Verdict.LinuxCanRun, report.Verdict.WayOut is null);
        Assert.DoesNotContain('\n', report.Verdict.Reason);
    }

    [Fact]
    public void A_software_kvm_is_called_that_with_what_fails_on_it_and_the_way_out()
    {
        if (!SoftwareKvm.IsHere)
        {
            Assert.Contains("Linux can run here", HostProbe.RunQuick().Verdict.Reason, StringComparison.Ordinal);
            return;
        }

        HostReport report = HostProbe.Run();
        Assert.Contains("software KVM", report.Verdict.Reason, StringComparison.Ordinal);
        Assert.Contains("SYSCALL does not reach the guest's kernel", report.Verdict.Reason, StringComparison.Ordinal);
        Assert.Contains("scripts/rig run", report.Verdict.WayOut, StringComparison.Ordinal);
        Assert.Equal(CheckStatus.Warn, Find(report, "ring 0 speed").Status);
        Assert.Contains("POPCNT", Find(report, "instructions in ring 0").Detail, StringComparison.Ordinal);
        // The host's side of KVM is real even there.
        Assert.Equal(CheckStatus.Ok, Find(report, "interrupts (irqfd)").Status);
        Assert.Equal(CheckStatus.Ok, Find(report, "notifications (ioeventfd)").Status);
        Assert.Equal(CheckStatus.Ok, Find(report, "KVM capabilities").Status);
    }

    [Fact]
    public void It_takes_less_than_two_seconds_and_leaves_nothing_behind()
    {
        // The best of a few: what is bounded is the probe, not how long a busy host keeps it waiting for a CPU.
        double full = Best(() => HostProbe.Run()), quick = Best(() => HostProbe.RunQuick());
        output.WriteLine($"full {full:F0} ms, quick {quick:F0} ms");
        Assert.InRange(full, 50, 2000);
        Assert.InRange(quick, 0, 1000);
        Assert.DoesNotContain("probe-watchdog", OwnThreads.Names());
        Assert.DoesNotContain("bgkvm-probe", File.ReadAllText("/proc/self/maps"), StringComparison.Ordinal);
        Assert.DoesNotContain(Directory.GetFiles("/proc/self/fd").Select(fd => new FileInfo(fd).LinkTarget ?? ""),
            target => target.Contains("bgkvm-probe", StringComparison.Ordinal));
    }

    [Fact]
    public void A_missing_device_is_one_clear_sentence()
    {
        HostReport report = HostProbe.Run("/dev/kvm-that-is-not-there");
        Assert.False(report.Verdict.LinuxCanRun);
        Assert.Equal("Linux cannot run here: /dev/kvm-that-is-not-there: does not exist.", report.Verdict.Reason);
        Assert.Contains("modprobe", report.Verdict.WayOut, StringComparison.Ordinal);
    }

    [Fact]
    public void A_device_that_may_not_be_opened_is_one_clear_sentence()
    {
        HostCheckResult check = HostProbe.DeviceError("/dev/kvm", new LibcException("open", Libc.EACCES, "/dev/kvm"));
        Assert.Equal((CheckStatus.Fail, "this user may not open it"), (check.Status, check.Detail));
        Assert.Contains("usermod -aG kvm", check.Remedy, StringComparison.Ordinal);
    }

    [Fact]
    public void Something_else_under_that_name_is_one_clear_sentence()
    {
        HostReport report = HostProbe.RunQuick("/dev/null");
        Assert.Equal("Linux cannot run here: /dev/null: opens, but is no KVM device.", report.Verdict.Reason);
    }

    private static HostCheckResult Find(HostReport report, string name) => Assert.Single(report.Checks, c => c.Name == name);

    private static double Best(Action probe) => Enumerable.Range(0, 5).Min(_ =>
    {
        long start = Stopwatch.GetTimestamp();
        probe();
        return Stopwatch.GetElapsedTime(start).TotalMilliseconds;
    });
}
