using Os.Tests.Driver;
using Xunit;

namespace Os.Tests;

/// <summary>kill -9 of the instance's process: what the guest was promised to be kept is kept, and the instance starts again.</summary>
public sealed class KillTests : Scenario
{
    [Fact]
    public void Killed_while_running_and_killed_while_a_shadow_boots()
    {
        using (Guest guest = Vm.Start())
        {
            guest.LogIn();
            WriteDurably(guest, "first");
            Vm.Kill();
        }

        Disks.AssertIntact(Vm);
        int shadow;
        using (Guest guest = Vm.StartAgain())
        {
            guest.LogIn();
            AssertKept(guest, "first");
            WriteDurably(guest, "second");
            using Command reboot = Vm.BeginReboot();
            reboot.WaitForLine("new OS boots", Limits.Reboot);
            WriteDurably(guest, "third"); // after the fork: into the layer that the fork gave the instance
            shadow = Assert.NotNull(Vm.Status().ShadowPid);
            Vm.Kill();
            Assert.Equal(1, reboot.WaitForExit(Limits.Command).ExitCode);
        }

        Processes.WaitGone(shadow);
        Disks.AssertIntact(Vm);
        using (Guest guest = Vm.StartAgain())
        {
            guest.LogIn();
            AssertKept(guest, "first", "second", "third");
            AssertNoStrays();
            Assert.Empty(Processes.ShadowCgroupsOf(Instance.Name));
            Vm.Stop();
        }

        Disks.AssertClean(Vm);
        Disks.AssertUnmounted(Vm);
    }

    [Fact]
    public void Killed_right_after_the_switch()
    {
        using (Guest guest = Vm.Start())
        {
            guest.LogIn();
            WriteDurably(guest, "first");
            Vm.InstallKernel("6.12");
            using Command reboot = Vm.BeginReboot();
            reboot.WaitForLine("new OS boots", Limits.Reboot);
            guest.WriteDurably("/data/second", "second");
            guest.WriteDurably("/etc/discarded", "discarded");
            reboot.WaitForLine("cleaning up", Limits.Reboot);
            Vm.Kill();
        }

        Disks.AssertIntact(Vm);
        using (Guest guest = Vm.StartAgain())
        {
            guest.LogIn();
            Assert.StartsWith("6.12.", guest.Run("uname -r"), StringComparison.Ordinal);
            AssertKept(guest, "first");
            Assert.Equal("second", guest.Run("cat /data/second"));
            // The manifest names the rebooted state, which never had this file.
            Assert.NotEqual(0, guest.Try("test -e /etc/discarded").Status);
            AssertNoStrays();
            Vm.Stop();
        }

        Disks.AssertClean(Vm);
        Disks.AssertUnmounted(Vm);
    }

    private static void WriteDurably(Guest guest, string name)
    {
        guest.WriteDurably($"/etc/{name}", name);
        guest.WriteDurably($"/data/{name}", name);
    }

    private static void AssertKept(Guest guest, params string[] names)
    {
        foreach (string name in names) Assert.Equal($"{name}\n{name}", guest.Run($"cat /etc/{name} /data/{name}"));
    }

    private void AssertNoStrays()
    {
        string manifest = File.ReadAllText(Path.Combine(Vm.Home, "manifest.json"));
        Assert.All(Vm.Layers, layer => Assert.Contains(Path.GetFileName(layer), manifest, StringComparison.Ordinal));
    }
}
