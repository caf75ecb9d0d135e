using System.Text;
using Os.Tests.Driver;
using Xunit;

namespace Os.Tests;

/// <summary>The guest channel through Linux's own serial driver: the other end is a few lines of shell.</summary>
public sealed class GuestChannelTests : Scenario
{
    private const string Agent = """
        stty -F /dev/ttyS1 raw -echo
        echo hello 1 >/dev/ttyS1
        (while read verb number; do
            echo "asked to $verb" >/dev/ttyS0
            case $verb in sync) sync ;; quiesce) fsfreeze --freeze /data ;; thaw) fsfreeze --unfreeze /data ;; *) continue ;; esac
            echo "done $number" >/dev/ttyS1
        done </dev/ttyS1) &
        """;

    [Fact]
    public void A_guest_is_ready_when_it_says_so_comes_to_rest_when_asked_and_asks_for_its_own_reboot()
    {
        using Guest guest = Vm.Start();
        guest.LogIn();
        guest.Run($"echo {Convert.ToBase64String(Encoding.ASCII.GetBytes(Agent + "\n"))} | base64 -d >/sbin/agent");
        // hello before the login prompt, ready some time after it.
        guest.Run("sed -i 's|^mdev -d|sh /sbin/agent; (sleep 2; echo everything is up >/dev/ttyS0; echo ready >/dev/ttyS1) \\& mdev -d|' /sbin/init");
        guest.Run("grep -q /sbin/agent /sbin/init && sync");
        Assert.Equal("switched", Vm.Reboot().Outcome);
        Assert.Contains("everything is up", File.ReadAllText(Path.Combine(Vm.Home, "shadow.log")), StringComparison.Ordinal);
        guest.Send("\n");
        guest.LogIn();
        guest.WaitForPersistentDisk();

        guest.Run("echo precious >/data/file");
        string before = guest.BootId();
        int generation = Vm.Status().Generation;
        guest.Send("echo reboot --background >/dev/ttyS1\n");
        guest.WaitFor("asked to reboot", Limits.Answer); // accepted
        guest.WaitFor("asked to sync[\\s\\S]*asked to quiesce", Limits.Reboot);
        // A fork and a switch, and nothing under way.
        Assert.True(SpinWait.SpinUntil(() => Vm.Status() is { BackgroundPhase: null } now && now.Generation == generation + 2, Limits.Answer));
        guest.Send("\n");
        guest.LogIn();
        Assert.NotEqual(before, guest.BootId());
        Assert.Equal("switched", Vm.Status().LastReboot?.Outcome);
        guest.WaitForPersistentDisk();
        Assert.Equal("precious", guest.Run("cat /data/file"));
        Vm.Stop();
        Disks.AssertClean(Vm);
    }
}
