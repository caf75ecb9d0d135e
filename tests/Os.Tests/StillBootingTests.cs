using Os.Tests.Driver;
using Xunit;

namespace Os.Tests;

/// <summary>An OS that is still booting does not hear its power button: it is pressed once more when it is up.</summary>
public sealed class StillBootingTests : Scenario
{
    [Fact]
    public void Stop_ends_it_as_soon_as_it_has_come_up()
    {
        using Guest guest = Vm.Start();
        Vm.Do("stop", Instance.Name, "--timeout", "150");
        Assert.Contains("Power down", guest.WaitForEnd(Limits.Answer), StringComparison.Ordinal);
        Vm.WaitGone();
        Disks.AssertClean(Vm);
        Disks.AssertUnmounted(Vm);
    }

    [Theory]
    [InlineData("--json")]
    [InlineData("--background", "--json")]
    public void A_reboot_lets_it_come_up_and_shut_down(params string[] options)
    {
        using Guest guest = Vm.Start();
        Assert.Equal("booting", Vm.Status().State);
        RebootView report = Instance.Parse<RebootView>(Vm.Do(["reboot", Instance.Name, "--timeout", "300", .. options]));
        Say(report.ToString());
        // Not "the old OS did not shut down and was reset".
        Assert.Null(report.Reason);
        guest.LogIn();
        Assert.Equal("running", Vm.Status().State);
    }
}
