using Os.Tests.Driver;
using Xunit;

namespace Os.Tests;

/// <summary>A disk with its own boot loader: nothing about the guest's kernel or file system is known to the host.</summary>
public sealed class FirmwareTests : Scenario
{
    [Fact]
    public void A_disk_boots_by_itself_and_a_kernel_installed_in_the_guest_runs_after_a_background_reboot()
    {
        using Guest guest = Vm.StartFromFirmware(cpus: 2);
        guest.LogIn();
        InstanceView before = Vm.Status();
        Assert.StartsWith("6.1.", guest.Run("uname -r"), StringComparison.Ordinal);
        Assert.Equal("2", guest.Run("nproc"));
        Assert.StartsWith("BOOT_IMAGE=/boot/vmlinuz ", guest.Run("cat /proc/cmdline"), StringComparison.Ordinal);

        guest.Run("cd /boot && ln -sf vmlinuz-6.12 vmlinuz && ln -sf initrd-6.12 initrd && sync");
        RebootView report = Vm.Reboot();
        Say($"{report}");
        guest.LogIn();
        Assert.Equal("switched", report.Outcome);
        Assert.StartsWith("6.12.", guest.Run("uname -r"), StringComparison.Ordinal);
        Assert.Equal("2", guest.Run("nproc"));
        Assert.Equal(before.Pid, Vm.Status().Pid);

        // In place, through the firmware once more, by the guest's own command.
        guest.Send("reboot\n");
        guest.LogIn();
        Assert.StartsWith("6.12.", guest.Run("uname -r"), StringComparison.Ordinal);
        Vm.Stop();
        Disks.AssertClean(Vm);
    }
}
