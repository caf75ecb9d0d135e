using System.Text.RegularExpressions;
using Os.Tests.Driver;
using Xunit;

namespace Os.Tests;

/// <summary>The guest channel through Linux's own serial driver: the other end is the guest package's script, in busybox's shell.</summary>
public sealed class GuestChannelTests : Scenario
{
    [Fact]
    public void A_guest_is_ready_when_it_says_so_comes_to_rest_when_asked_and_asks_for_its_own_reboot()
    {
        using Guest guest = Vm.Start();
        guest.LogIn();
        // hello before the login prompt, ready some time after it.
        guest.Run(
            "sed -i 's|^mdev -d|bgkvm-guest hello; bgkvm-guest agent >/dev/ttyS0 2>\\&1 \\& "
            + "(sleep 2; echo everything is up >/dev/ttyS0; bgkvm-guest ready) \\& mdev -d|' /sbin/init");
        guest.Run("grep -q bgkvm-guest /sbin/init && sync");
        Assert.Equal("switched", Vm.Reboot().Outcome);
        Assert.Contains("everything is up", File.ReadAllText(Path.Combine(Vm.Home, "shadow.log")), StringComparison.Ordinal);
        guest.Send("\n");
        guest.LogIn();
        guest.WaitForPersistentDisk();

        guest.Run("echo precious >/data/file");
        string before = guest.BootId();
        int generation = Vm.Status().Generation;
        guest.Send("echo reboot --background >/dev/ttyS1\n");
        guest.WaitFor("host: reboot accepted", Limits.Answer);
        guest.WaitFor("host: sync[\\s\\S]*host: quiesce", Limits.Reboot);
        // A fork and a switch, and nothing under way. Not asked before: that would take the time that the shadow has.
        Assert.True(SpinWait.SpinUntil(() => Vm.Status() is { BackgroundPhase: null } now && now.Generation == generation + 2, Limits.Answer));
        guest.Send("\n");
        guest.LogIn();
        Assert.NotEqual(before, guest.BootId());
        Assert.Equal("switched", Vm.Status().LastReboot?.Outcome);
        Assert.True(Vm.Status().LastReboot?.QuiesceMicros > 0);
        // By SysRq once, for the first reboot, and frozen for the second.
        Assert.Single(Regex.Matches(File.ReadAllText(Path.Combine(Vm.Home, "console.log")), "Emergency Remount R/O"));
        guest.WaitForPersistentDisk();
        Assert.Equal("precious", guest.Run("cat /data/file"));
        Vm.Stop();
        Disks.AssertClean(Vm);
    }
}
