using Os.Tests.Driver;
using Xunit;

namespace Os.Tests;

/// <summary>What a guest had written to the persistent disk and not fsynced when the new system took over.</summary>
public sealed class QuiesceTests : Scenario
{
    [Theory]
    [InlineData("sysrq")]
    [InlineData("none")]
    public void Writes_that_were_fsynced_are_kept_and_with_quiesce_the_others_too(string mode)
    {
        using Guest guest = Vm.Start();
        guest.LogIn();
        // Nothing but an fsync or a quiesce writes anything out during the test.
        guest.Run("echo 360000 >/proc/sys/vm/dirty_expire_centisecs; echo 0 >/proc/sys/vm/dirty_writeback_centisecs");
        guest.Run("mount -o remount,commit=3600 /data");
        using Command reboot = Vm.BeginReboot("--quiesce", mode);
        reboot.WaitForLine("new OS boots", Limits.Reboot);
        guest.WriteDurably("/data/synced", "fsynced");
        guest.Run("echo written >/data/unsynced");
        Assert.Equal(0, reboot.WaitForExit(Limits.Reboot).ExitCode);

        RebootView report = Assert.IsType<RebootView>(Vm.Status().LastReboot);
        Assert.Equal(mode == "none", report.QuiesceMicros == 0);
        // Of this guest's kernel that is not heard by itself (loglevel=3), and its silence would be waited for instead.
        Assert.Equal(mode == "sysrq", File.ReadAllText(Path.Combine(Vm.Home, "console.log")).Contains("Emergency Remount complete", StringComparison.Ordinal));
        guest.LogIn();
        guest.WaitForPersistentDisk();
        bool kept = guest.Try("grep -q written /data/unsynced").Status == 0;
        Say($"--quiesce {mode}: {report.QuiesceMicros} us; the write that was not fsynced is {(kept ? "kept" : "lost")}");
        Assert.Equal("fsynced", guest.Run("cat /data/synced"));
        Assert.Equal(mode == "sysrq", kept);
        Vm.Stop();
        Disks.AssertClean(Vm);
        Disks.AssertUnmounted(Vm);
    }

    [Fact]
    public void A_kernel_that_allows_no_remount_or_does_not_answer_ends_a_reboot_that_insists_on_it_and_no_other()
    {
        using Guest guest = Vm.Start();
        guest.LogIn();
        guest.Run("echo 16 >/proc/sys/kernel/sysrq"); // sync alone
        CommandResult refused = Vm.Run("reboot", Instance.Name, "--background", "--timeout", "200", "--quiesce", "sysrq");
        Assert.Equal(5, refused.ExitCode);
        Assert.Contains("the guest's kernel does not allow SysRq remount", refused.Errors, StringComparison.Ordinal);
        Assert.DoesNotContain("read-only", refused.Errors, StringComparison.Ordinal);
        guest.Run("echo 0 >/proc/sys/kernel/sysrq"); // it does not even answer
        CommandResult unheard = Vm.Run("reboot", Instance.Name, "--background", "--timeout", "200", "--quiesce", "sysrq");
        Assert.Equal(5, unheard.ExitCode);
        Assert.Contains("did not answer SysRq sync", unheard.Errors, StringComparison.Ordinal);
        guest.WriteDurably("/data/file", "writable as before");
        Assert.Null(Vm.Reboot().Reason);
        guest.LogIn();
        guest.WaitForPersistentDisk();
        Assert.Equal("writable as before", guest.Run("cat /data/file"));
    }
}
