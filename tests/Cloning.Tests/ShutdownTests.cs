using Cloning.Instances;
using TestKit.Guests;
using Xunit;

namespace Cloning.Tests;

/// <summary>How the old OS ends: by itself, in whatever way, or else by a reset that is reported.</summary>
public sealed class ShutdownTests
{
    private static readonly TimeSpan s_short = TimeSpan.FromSeconds(2), s_long = TimeSpan.FromMinutes(2);

    [Theory]
    [InlineData(RebootMode.Background, TinyOsBoot.Normally)]
    [InlineData(RebootMode.Background, TinyOsBoot.NormallyAndResetsAtButton)]
    [InlineData(RebootMode.InPlace, TinyOsBoot.Normally)]
    [InlineData(RebootMode.InPlace, TinyOsBoot.NormallyAndResetsAtButton)]
    public async Task Power_off_and_reboot_both_end_it(RebootMode mode, TinyOsBoot boot)
    {
        using TestInstance guest = new('1', boot: boot);
        guest.Install('2');
        RebootReport report = await guest.Reboot(mode, shutdownTimeout: s_long);

        Assert.NotEqual(RebootOutcome.Aborted, report.Outcome);
        Assert.Null(report.Reason);
        Assert.InRange(report.ShutdownMillis, 0, s_long.TotalMilliseconds - 1);
        Assert.InRange(report.BootMillis, 1, report.TotalMillis);
        guest.Ask('v', "<2>");
    }

    [Theory]
    [InlineData(RebootMode.Background)]
    [InlineData(RebootMode.InPlace)]
    public async Task One_that_ignores_the_button_is_reset_in_the_end_and_that_is_reported(RebootMode mode)
    {
        using TestInstance guest = new('1', boot: TinyOsBoot.NormallyAndIgnoresButton);
        guest.Install('2');
        RebootReport report = await guest.Reboot(mode, shutdownTimeout: s_short);

        Assert.NotEqual(RebootOutcome.Aborted, report.Outcome);
        Assert.Equal("the old OS did not shut down within 2 s and was reset", report.Reason);
        Assert.Equal([$"Reset: {report.Reason}"], guest.Details);
        Assert.True(report.ShutdownMillis >= s_short.TotalMilliseconds);
        guest.Ask('v', "<2>");
    }

    [Theory]
    [InlineData(RebootMode.Background)]
    [InlineData(RebootMode.InPlace)]
    public async Task One_that_panics_on_the_way_is_reset_at_once(RebootMode mode)
    {
        using TestInstance guest = new('1', boot: TinyOsBoot.NormallyAndPanicsAtButton);
        guest.Install('2');
        RebootReport report = await guest.Reboot(mode, shutdownTimeout: s_long);

        Assert.NotEqual(RebootOutcome.Aborted, report.Outcome);
        Assert.Equal("the old OS panicked: VFS: Unable to mount root fs on unknown-block(0,0) and was reset", report.Reason);
        Assert.True(report.ShutdownMillis < s_long.TotalMilliseconds);
        guest.Ask('v', "<2>");
    }

    [Fact]
    public async Task In_place_an_OS_that_panics_while_it_boots_is_told_at_once()
    {
        using TestInstance guest = new('1');
        guest.Install('2', TinyOsBoot.Panics);
        InvalidOperationException failure = await Assert.ThrowsAsync<InvalidOperationException>(() => guest.Reboot(RebootMode.InPlace, s_long));
        Assert.StartsWith("the rebooted OS panicked: VFS: Unable to mount root fs on unknown-block(0,0)", failure.Message, StringComparison.Ordinal);
    }
}
