using Os.Tests.Driver;
using Xunit;

namespace Os.Tests;

/// <summary>A guest that nobody here has prepared: Debian's network installer, kernel and initrd as their package has them.</summary>
public sealed class InstallerTests : Scenario
{
    [Fact]
    public void Debians_installer_comes_up_to_its_first_question()
    {
        using Guest guest = Vm.StartInstaller();
        guest.WaitFor("Select a language", Limits.Reboot);
        Vm.Do("stop", Instance.Name, "--force");
        Vm.WaitGone();
        Disks.AssertClean(Vm);
    }
}
