using Os.Tests.Driver;
using Xunit;

namespace Os.Tests;

/// <summary>Whatever befalls the shadow, the instance goes on, and can be asked again.</summary>
public sealed class AbortTests : Scenario
{
    [Fact]
    public void A_system_that_panics_and_a_shadow_that_is_killed_leave_the_instance_as_it_was_and_the_next_try_works()
    {
        using Guest guest = Vm.Start();
        guest.LogIn();
        int pid = Assert.NotNull(Vm.Status().Pid);
        string bootId = guest.BootId();
        Treasure treasure = Treasure.Bury(guest);
        guest.StartHeartbeat();

        // Without its initrd this kernel finds no root file system, panics, and stays there: nobody waits for it.
        File.WriteAllBytes(Vm.Initrd, new byte[65536]);
        using (Command panics = Vm.BeginReboot())
        {
            AssertAborted(panics, "the rebooted OS panicked: VFS: Unable to mount root fs on unknown-block(");
            panics.WaitForLine("Kernel panic - not syncing: VFS", Limits.Reboot);
        }

        AssertUnharmed(guest, bootId, treasure);

        Vm.InstallKernel("6.12");
        using (Command killed = Vm.BeginReboot())
        {
            killed.WaitForLine("new OS boots", Limits.Reboot);
            CommandResult second = Vm.Run("reboot", Instance.Name, "--background");
            Assert.Equal(1, second.ExitCode);
            Assert.Contains("being rebooted already", second.Errors, StringComparison.Ordinal);
            second = Vm.Run("reboot", Instance.Name);
            Assert.Equal(1, second.ExitCode);
            Assert.Contains("being rebooted already", second.Errors, StringComparison.Ordinal);
            Processes.Kill(Assert.NotNull(Vm.Status().ShadowPid));
            AssertAborted(killed, "shadow process died");
        }

        AssertUnharmed(guest, bootId, treasure);
        Assert.Empty(Processes.ChildrenOf(pid));

        RebootView report = Vm.Reboot();
        Assert.Equal("switched", report.Outcome);
        guest.LogIn();
        Assert.StartsWith("6.12.", guest.Run("uname -r"), StringComparison.Ordinal);
        Assert.Equal(pid, Vm.Status().Pid);
        guest.WaitForPersistentDisk();
        treasure.AssertOnDisks(guest);
        Vm.Stop();
        Disks.AssertClean(Vm);
        Disks.AssertUnmounted(Vm);
    }

    [Fact]
    public void A_kernel_that_panics_and_a_guest_that_reboots_itself_meanwhile_end_the_background_reboot_and_nothing_else()
    {
        using Guest guest = Vm.Start(append: "panic=-1");
        guest.LogIn();
        int pid = Assert.NotNull(Vm.Status().Pid);
        string bootId = guest.BootId();
        Treasure treasure = Treasure.Bury(guest);
        guest.StartHeartbeat();

        File.WriteAllBytes(Vm.Initrd, new byte[65536]);
        using (Command panics = Vm.BeginReboot()) AssertAborted(panics, "the rebooted OS panicked: VFS: Unable to mount root fs on unknown-block(");
        AssertUnharmed(guest, bootId, treasure);

        Vm.InstallKernel("6.12");
        Assert.Equal("switched", Vm.Reboot().Outcome);
        guest.LogIn();
        guest.WaitForPersistentDisk();
        treasure.AssertOnDisks(guest);
        bootId = guest.BootId();

        using (Command overtaken = Vm.BeginReboot())
        {
            overtaken.WaitForLine("new OS boots", Limits.Reboot);
            guest.Send("reboot\n");
            AssertAborted(overtaken, "guest ended meanwhile");
        }

        guest.LogIn();
        Assert.NotEqual(bootId, guest.BootId());
        Assert.Equal(pid, Vm.Status().Pid);
        treasure.AssertOnDisks(guest);
        Vm.Stop();
        Disks.AssertClean(Vm);
        Disks.AssertUnmounted(Vm);
    }

    private void AssertAborted(Command reboot, string reason)
    {
        CommandResult ended = reboot.WaitForExit(Limits.Reboot);
        Assert.Equal(5, ended.ExitCode);
        string complaint = Assert.Single(ended.Errors.Split('\n', StringSplitOptions.RemoveEmptyEntries));
        Assert.Contains(reason, complaint, StringComparison.Ordinal);
        Assert.DoesNotContain(complaint, char.IsControl);
        RebootView report = Assert.IsType<RebootView>(Vm.Status().LastReboot);
        Say(report.ToString());
        Assert.Equal(("background", "aborted"), (report.Mode, report.Outcome));
        Assert.Contains(reason, report.Reason, StringComparison.Ordinal);
        if (reason.Contains("panicked", StringComparison.Ordinal))
            Assert.Contains(report.LastLines!, line => line.Contains("Kernel panic - not syncing", StringComparison.Ordinal));
    }

    private void AssertUnharmed(Guest guest, string bootId, Treasure treasure)
    {
        Assert.Equal(bootId, guest.BootId());
        treasure.AssertAll(guest);
        InstanceView status = Vm.Status();
        Assert.Equal(("running", null, null), (status.State, status.ShadowPid, status.BackgroundPhase));
        Say($"longest silence {guest.LongestSilence.TotalMilliseconds:0} ms");
    }
}
