using Os.Tests.Driver;
using Xunit;

namespace Os.Tests;

/// <summary>A reboot as everybody does it.</summary>
public sealed class InPlaceRebootTests : Scenario
{
    [Fact]
    public void A_reboot_in_place_boots_the_kernel_there_is_now_in_the_same_process_and_reports_the_whole_time_as_downtime()
    {
        using Guest guest = Vm.Start();
        guest.LogIn();
        string bootId = guest.BootId();
        guest.Run("echo kept >/etc/file; echo kept >/data/file");
        InstanceView before = Vm.Status();
        Vm.InstallKernel("6.12");

        RebootView report = Instance.Parse<RebootView>(Vm.Do("reboot", Instance.Name, "--timeout", "200", "--json"));
        Say(report.ToString());
        guest.LogIn();
        Assert.StartsWith("6.12.", guest.Run("uname -r"), StringComparison.Ordinal);
        Assert.NotEqual(bootId, guest.BootId());
        Assert.Equal("kept\nkept", guest.Run("cat /etc/file /data/file"));
        InstanceView after = Vm.Status();
        Assert.Equal((before.Pid, "running"), (after.Pid, after.State));
        Assert.Equal(before.Generation + 1, after.Generation);
        Assert.Equal(report, after.LastReboot);

        Assert.Equal(("inPlace", "rebooted", null), (report.Mode, report.Outcome, report.Reason));
        Assert.Equal((0, 0, 0, 0), (report.CloneMicros, report.QuiesceMicros, report.SwitchMicros, report.DiscardedBytes));
        Assert.True(report.ShutdownMillis > 0 && report.BootMillis > 0, $"{report}");
        Assert.InRange(report.DowntimeMicros / 1000, report.ShutdownMillis + report.BootMillis - 10, report.TotalMillis + 10);
        Assert.Equal(128, report.MemoryMiB);
    }
}
