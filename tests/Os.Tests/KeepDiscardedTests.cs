using Os.Tests.Driver;
using Xunit;

namespace Os.Tests;

/// <summary>What a switch discards can be kept, and read with ordinary tools.</summary>
public sealed class KeepDiscardedTests : Scenario
{
    [Fact]
    public void A_file_written_after_the_fork_is_found_in_the_kept_disk()
    {
        using Guest guest = Vm.Start();
        guest.LogIn();
        guest.WriteDurably("/etc/before", "before the fork");
        using Command reboot = Vm.BeginReboot("--keep-discarded");
        reboot.WaitForLine("new OS boots", Limits.Reboot);
        guest.WriteDurably("/etc/meanwhile", "while the shadow booted");
        CommandResult ended = reboot.WaitForExit(Limits.Reboot);
        Assert.Equal(0, ended.ExitCode);
        string place = Assert.IsType<string>(Vm.Status().LastReboot?.DiscardedPath);
        Assert.Contains($"kept in       {place}", ended.Output, StringComparison.Ordinal);
        string kept = Assert.Single(Directory.GetFiles(place));

        Assert.Equal(0, Command.Run("qemu-img", "check", "-f", "qcow2", kept).ExitCode);
        string flat = kept + ".raw";
        Assert.Equal(0, Command.Run("qemu-img", "convert", "-f", "qcow2", "-O", "raw", kept, flat).ExitCode);
        // As after a power cut: the journal is replayed, then all is well.
        Assert.True(Command.Run("e2fsck", "-fy", flat).ExitCode is 0 or 1);
        Assert.Equal("while the shadow booted\n", Command.Run("debugfs", "-R", "cat /etc/meanwhile", flat).Output);
        Assert.Equal("before the fork\n", Command.Run("debugfs", "-R", "cat /etc/before", flat).Output);
        guest.LogIn();
        Assert.NotEqual(0, guest.Try("test -e /etc/meanwhile").Status);
    }
}
