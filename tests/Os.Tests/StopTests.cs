using Os.Tests.Driver;
using Xunit;

namespace Os.Tests;

/// <summary>Stopping, and starting by name what was stopped.</summary>
public sealed class StopTests : Scenario
{
    [Fact]
    public void Stop_presses_the_power_button_and_a_stopped_instance_starts_again_with_all_it_had_written()
    {
        using (Guest guest = Vm.Start())
        {
            guest.LogIn();
            // Not synced: bringing it to the disk is what shutting down is for.
            guest.Run("echo kept >/etc/file; echo kept >/data/file");
            Vm.Stop();
            Assert.Contains("Power down", guest.WaitForEnd(Limits.Answer), StringComparison.Ordinal);
        }

        Assert.Equal("stopped", Vm.Status().State);
        Disks.AssertClean(Vm);
        Disks.AssertUnmounted(Vm);

        using Guest again = Vm.StartAgain();
        again.LogIn();
        Assert.Equal("kept\nkept", again.Run("cat /etc/file /data/file"));
        Assert.Equal("running", Vm.Status().State);
    }
}
