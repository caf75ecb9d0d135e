using Cloning.Instances;
using Xunit;

namespace Cloning.Tests;

/// <summary>What consoles show when an OS has given up: their own words, as their programs print them.</summary>
public sealed class BootFailureTests
{
    [Theory]
    [InlineData("[    1.204386] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)\r\n[    1.2] CPU: 0",
        "panicked: VFS: Unable to mount root fs on unknown-block(0,0)")]
    [InlineData("[  OK  ] half a li[    9.1][    T1] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100\n",
        "panicked: Attempted to kill init! exitcode=0x00000100")]
    [InlineData("Kernel panic - not syncing: \u001b[31mred\u0007\r\n", "panicked: red")]
    [InlineData("You are in emergency mode. After logging in, type \"journalctl -xb\" to view\r\nsystem logs", "is in emergency mode")]
    [InlineData("You are in rescue mode. After logging in, type \"journalctl -xb\" to view\r\nsystem logs", "is in rescue mode")]
    [InlineData("Give root password for maintenance\r\n(or press Control-D to continue): ", "waits in single-user mode")]
    [InlineData("ALERT!  /dev/vdz does not exist.  Dropping to a shell!\r\n\r\n(initramfs) ",
        "did not find its root file system: its initramfs has opened a shell")]
    [InlineData("Entering emergency mode. Exit the shell to continue.\r\n", "is in the emergency shell of its initramfs")]
    [InlineData("error: no such partition.\r\nEntering rescue mode...\r\ngrub rescue> ", "did not boot: its boot loader waits for a command")]
    [InlineData("Booting from Hard Disk...\r\nNo bootable device.\r\n", "did not boot: its firmware finds no bootable disk")]
    public void It_is_recognized(string output, string failure)
    {
        Assert.Matches(BootFailure.Pattern, output);
        Assert.Equal(failure, BootFailure.Describe(output));
    }

    [Theory]
    [InlineData("[    0.1] Kernel panic - not syncing: VFS: Unable to mou")] // the rest of the line is still to come
    [InlineData("Warning: kernel panic timeout set to 10 s\r\n")]
    [InlineData("[  OK  ] Reached target rescue.target - Rescue Mode.\r\n")]
    [InlineData("Begin: Running /scripts/init-bottom ... done.\r\nDebian GNU/Linux 12 web ttyS0\r\n\r\nweb login: ")]
    public void Nothing_else_is(string output) => Assert.DoesNotMatch(BootFailure.Pattern, output);

    [Fact]
    public void An_OS_that_is_up_can_say_what_it_likes()
    {
        string log = Path.GetTempFileName();
        using (ConsoleHub hub = new(log))
        using (BootWatch watch = new(hub))
        {
            watch.CountAsReady();
            hub.Print("You are in rescue mode. After logging in"u8);
            hub.Drain();
            Assert.False(watch.Failed.IsCompleted);
            Assert.Equal("You are in rescue mode. After logging in", watch.LastLine);
        }

        File.Delete(log);
    }

    [Fact]
    public void The_last_lines_are_safe_to_print()
    {
        string output = string.Join("\r\n", Enumerable.Range(1, 20)) + "\r\n\r\n\u001b[2Jlogin\u0007 \r\n" + new string('x', 300);
        Assert.Equal(["13", "14", "15", "16", "17", "18", "19", "20", "login", new string('x', 200)], ConsoleTail.Of(output));
        Assert.Empty(ConsoleTail.Of(""));
        Assert.Empty(ConsoleTail.OfLog("/nonexistent/shadow.log"));
    }
}
