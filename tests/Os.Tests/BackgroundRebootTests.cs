using Os.Tests.Driver;
using Xunit;

namespace Os.Tests;

/// <summary>The main job, seen from outside.</summary>
public sealed class BackgroundRebootTests : Scenario
{
    [Fact]
    public void A_running_system_moves_onto_a_newer_kernel_and_loses_only_the_pauses_and_its_late_writes_to_the_system_disk()
    {
        using Guest guest = Vm.Start();
        guest.LogIn();
        InstanceView before = Vm.Status();
        string bootId = guest.BootId();
        Assert.StartsWith("6.1.", guest.Run("uname -r"), StringComparison.Ordinal);
        guest.WriteDurably("/etc/before", "before the fork");
        guest.WriteDurably("/data/before", "before the fork");
        guest.Run("sleep 86400 & true");
        guest.StartHeartbeat();
        Vm.InstallKernel("6.12");

        using Command reboot = Vm.BeginReboot();
        reboot.WaitForLine("new OS boots", Limits.Reboot);
        int shadow = Assert.NotNull(Vm.Status().ShadowPid);
        Assert.True(Processes.Exists(shadow));
        guest.WriteDurably("/data/meanwhile", "while the shadow booted");
        guest.WriteDurably("/etc/meanwhile", "while the shadow booted");
        Assert.Equal(bootId, guest.BootId());
        Assert.StartsWith("6.1.", guest.Run("uname -r"), StringComparison.Ordinal);

        // The same connection all along: the next prompt on it is the new system's.
        guest.LogIn();
        TimeSpan silence = guest.LongestSilence;
        CommandResult ended = reboot.WaitForExit(Limits.Command);
        Assert.Equal(0, ended.ExitCode);
        InstanceView after = Vm.Status();
        RebootView report = Assert.IsType<RebootView>(after.LastReboot);
        Say($"longest silence {silence.TotalMilliseconds:0} ms; {report}");

        Assert.StartsWith("6.12.", guest.Run("uname -r"), StringComparison.Ordinal);
        Assert.NotEqual(bootId, guest.BootId());
        Assert.NotEqual(0, guest.Try("pidof sleep").Status);
        Assert.Equal(before.Pid, after.Pid);
        Assert.Equal(before.StartedAt, after.StartedAt);
        Assert.True(after.Generation > before.Generation);
        AssertSwitched(report);
        Assert.True(report.DiscardedBytes > 0, "the file on the system disk was written after the fork");
        // A system that answered only now and then would be silent for about as long as a boot takes.
        Assert.True(silence.TotalMilliseconds < report.BootMillis / 2.0, $"{silence} of silence, {report}");

        guest.WaitForPersistentDisk();
        Assert.Equal("before the fork", guest.Run("cat /data/before"));
        Assert.Equal("while the shadow booted", guest.Run("cat /data/meanwhile"));
        Assert.Equal("before the fork", guest.Run("cat /etc/before"));
        Assert.NotEqual(0, guest.Try("test -e /etc/meanwhile").Status);
        AssertNothingLeftOf(shadow);

        Vm.Stop();
        AssertNoStrayFiles();
        Disks.AssertClean(Vm);
        Disks.AssertUnmounted(Vm);
    }

    [Fact]
    public void A_second_and_a_third_time_work_like_the_first()
    {
        using Guest guest = Vm.Start();
        guest.LogIn();
        int pid = Assert.NotNull(Vm.Status().Pid);
        string bootId = guest.BootId();
        string[] series = ["6.12", "6.1", "6.12"];
        for (int i = 0; i < series.Length; i++)
        {
            guest.WriteDurably($"/etc/system-{i}", $"{i}");
            guest.WriteDurably($"/data/persistent-{i}", $"{i}");
            Vm.InstallKernel(series[i]);
            RebootView report = Vm.Reboot();
            Say(report.ToString());
            AssertSwitched(report);
            guest.LogIn();
            Assert.StartsWith(series[i] + ".", guest.Run("uname -r"), StringComparison.Ordinal);
            string now = guest.BootId();
            Assert.NotEqual(bootId, now);
            bootId = now;
            guest.WaitForPersistentDisk();
            for (int file = 0; file <= i; file++)
                Assert.Equal($"{file}\n{file}", guest.Run($"cat /etc/system-{file} /data/persistent-{file}"));
            InstanceView status = Vm.Status();
            Assert.Equal(pid, status.Pid);
            Assert.True(status.ChainDepth <= 4, $"the chain has {status.ChainDepth} layers after {i + 1} background reboots");
            AssertNothingLeftOf(shadow: null);
        }

        Vm.Stop();
        AssertNoStrayFiles();
        Disks.AssertClean(Vm);
        Disks.AssertUnmounted(Vm);
    }

    private static void AssertSwitched(RebootView report)
    {
        Assert.Equal(("background", "switched", null), (report.Mode, report.Outcome, report.Reason));
        Assert.True(report.CloneMicros > 0 && report.SwitchMicros > 0, $"{report}");
        Assert.Equal(report.CloneMicros + report.QuiesceMicros + report.SwitchMicros, report.DowntimeMicros);
        Assert.True(report.ShutdownMillis > 0 && report.BootMillis > 0, $"{report}");
        Assert.True(report.ShutdownMillis + report.BootMillis <= report.TotalMillis, $"{report}");
        Assert.True(report.DowntimeMicros / 1000 < report.BootMillis, $"{report}");
        Assert.Equal(128, report.MemoryMiB);
    }

    /// <summary>Process, cgroup, files and memory of the shadow are gone.</summary>
    private void AssertNothingLeftOf(int? shadow)
    {
        InstanceView status = Vm.Status();
        Assert.Null(status.ShadowPid);
        Assert.Null(status.BackgroundPhase);
        int pid = Assert.NotNull(status.Pid);
        if (shadow is { } id) Assert.False(Processes.Exists(id), $"process {id} of the shadow is still there");
        Assert.Empty(Processes.ChildrenOf(pid));
        Assert.Empty(Processes.ShadowCgroupsOf(Instance.Name));

        string[] sockets = ["console.sock", "control.sock"];
        Assert.Equal(sockets, Directory.EnumerateFiles(Vm.Home, "*.sock").Select(Path.GetFileName).Order(StringComparer.Ordinal));
        string[] descriptors = Processes.DescriptorsOf(pid);
        Assert.Single(descriptors, fd => fd.StartsWith($"/memfd:bgkvm-{Instance.Name}", StringComparison.Ordinal));
        Assert.Single(descriptors, fd => fd == "anon_inode:kvm-vm");
        Assert.DoesNotContain(descriptors, fd => fd.EndsWith(" (deleted)", StringComparison.Ordinal)
            && fd.StartsWith(Vm.Home, StringComparison.Ordinal));
    }

    /// <summary>A stopped instance has its own files, and of layers those that make up its disk.</summary>
    private void AssertNoStrayFiles()
    {
        string[] files = ["bgkvm.log", "config.json", "console.log", "layers", "lock", "manifest.json", "shadow.log"];
        Assert.Equal(files, Directory.EnumerateFileSystemEntries(Vm.Home).Select(Path.GetFileName).Order(StringComparer.Ordinal));
        string manifest = File.ReadAllText(Path.Combine(Vm.Home, "manifest.json"));
        Assert.All(Vm.Layers, layer => Assert.Contains(Path.GetFileName(layer), manifest, StringComparison.Ordinal));
        // The base is not among the files here.
        Assert.True(Vm.Layers.Length <= 3, $"{Vm.Layers.Length} layers");
    }
}
