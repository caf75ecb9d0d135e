using System.Diagnostics;
using Cloning.Instances;
using CowMemory;
using TestKit.Guests;
using Xunit;

namespace Cloning.Tests;

/// <summary>Whole background reboots on this host's /dev/kvm, with a real shadow process and real overlays.</summary>
public sealed class BackgroundRebootTests
{
    [Fact]
    public async Task Three_in_a_row_end_on_the_new_kernel_and_leave_nothing_behind()
    {
        using TestInstance guest = new('1');
        foreach (char version in "234")
        {
            int? shadow = null;
            guest.Install(version);
            guest.Entered = phase => shadow ??= phase == RebootPhase.Boot ? guest.Instance.Status().ShadowPid : null;
            RebootReport report = await guest.RebootInBackground();

            Assert.Equal((RebootOutcome.Switched, (string?)null), (report.Outcome, report.Reason));
            Assert.Equal(report.CloneMicros + report.QuiesceMicros + report.SwitchMicros, report.DowntimeMicros);
            Assert.True(report.CloneMicros > 0 && report.SwitchMicros > 0);
            guest.Ask('v', $"<{version}>");
            Assert.NotNull(shadow);
            Assert.False(Directory.Exists($"/proc/{shadow}"));
            Assert.Equal(MemoryView.Shared, guest.Instance.Machine.Memory.View);
            await guest.Instance.Upkeep.Work;
            Assert.True(guest.Instance.Status().ChainDepth <= 3);
            Assert.Equal(
                guest.Instance.Manifest.Chains[0].Skip(1).Select(layer => layer.Path).Order(),
                Directory.EnumerateFiles(guest.Files.Layers).Select(Path.GetFileName).Order());
        }

        Assert.Equal(7, guest.Instance.Status().Generation);
    }

    [Fact]
    public async Task The_guest_goes_on_counting_while_the_shadow_boots_and_its_memory_stays_its_own()
    {
        using TestInstance guest = new('1');
        guest.Install('2');
        guest.Ask('F', "F");
        ulong before = guest.Rounds(), during = 0;
        guest.Entered = phase =>
        {
            if (phase == RebootPhase.Reset) during = guest.Rounds();
        };
        await guest.RebootInBackground();
        Assert.True(during > before, $"{before} rounds before the fork, {during} while the shadow was resetting");
    }

    [Fact]
    public async Task A_shadow_that_is_killed_leaves_the_instance_unharmed_and_the_next_try_works()
    {
        using TestInstance guest = new('1');
        guest.Ask('F', "F");
        guest.Install('2');
        guest.Entered = phase =>
        {
            if (phase == RebootPhase.ShutDown) Process.GetProcessById(guest.Instance.Status().ShadowPid!.Value).Kill();
        };
        RebootReport aborted = await guest.RebootInBackground();

        Assert.Equal(RebootOutcome.Aborted, aborted.Outcome);
        Assert.Contains("died", aborted.Reason, StringComparison.Ordinal);
        await AssertUnharmed(guest);
    }

    [Theory]
    [InlineData(TinyOsBoot.Hangs, "the OS was not ready within 8 s", "TinyOs 2")]
    [InlineData(TinyOsBoot.Resets, "the rebooted OS ended before it was ready (the guest asked for a reset)", "TinyOs 2")]
    [InlineData(TinyOsBoot.TripleFaults, "the rebooted OS ended before it was ready (triple fault)", "TinyOs 2")]
    [InlineData(TinyOsBoot.Panics, "the rebooted OS panicked: VFS: Unable to mount root fs on unknown-block(0,0)",
        "[    0.531870] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)")]
    [InlineData(TinyOsBoot.PanicsAndResets, "the rebooted OS panicked: VFS: Unable to mount root fs on unknown-block(0,0)",
        "[    0.531870] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)")]
    [InlineData(TinyOsBoot.WaitsInEmergencyMode, "the rebooted OS is in emergency mode", "TinyOs 2")]
    public async Task A_new_kernel_that_does_not_come_up_leaves_the_instance_unharmed(TinyOsBoot boot, string reason, string lastLine)
    {
        using TestInstance guest = new('1');
        guest.Ask('F', "F");
        guest.Install('2', boot);
        RebootReport aborted = await guest.RebootInBackground(boot == TinyOsBoot.Hangs ? TimeSpan.FromSeconds(8) : null);

        Assert.Equal((RebootOutcome.Aborted, reason), (aborted.Outcome, aborted.Reason));
        Assert.Contains(lastLine, aborted.LastLines!);
        await AssertUnharmed(guest);
    }

    [Fact]
    public async Task A_kernel_that_is_gone_leaves_the_instance_unharmed()
    {
        using TestInstance guest = new('1');
        guest.Ask('F', "F");
        File.Delete(guest.Config.Kernel!);
        RebootReport aborted = await guest.RebootInBackground();

        Assert.Equal(RebootOutcome.Aborted, aborted.Outcome);
        Assert.Contains(guest.Config.Kernel!, aborted.Reason, StringComparison.Ordinal);
        await AssertUnharmed(guest);
    }

    [Fact]
    public async Task A_second_request_while_one_runs_is_refused()
    {
        using TestInstance guest = new('1');
        guest.Install('2');
        Task<RebootReport> first = guest.RebootInBackground();
        await Assert.ThrowsAsync<InstanceBusyException>(() => guest.RebootInBackground());
        Assert.Equal(RebootOutcome.Switched, (await first).Outcome);
    }

    [Fact]
    public async Task A_guest_that_resets_itself_meanwhile_aborts_and_boots_again()
    {
        using TestInstance guest = new('1');
        guest.Install('2');
        guest.Entered = phase =>
        {
            if (phase == RebootPhase.ShutDown) guest.Instance.Console.Write("r"u8);
        };
        RebootReport aborted = await guest.RebootInBackground();

        Assert.Equal(RebootOutcome.Aborted, aborted.Outcome);
        Assert.Contains("ended meanwhile", aborted.Reason, StringComparison.Ordinal);
        guest.WaitFor("TinyOs 2");
        guest.WaitFor("login: ");
        guest.Ask('v', "<2>");
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(4)]
    public async Task The_persistent_disk_may_be_any_of_the_disks(int place)
    {
        using TestInstance guest = new('1', systemDisksBefore: place);
        long[] sizes = [.. Enumerable.Repeat((long)TestInstance.DiskBytes, Math.Max(1, place))];
        long[] expected = place == 0 ? [TestInstance.DiskBytes + (2 << 20), .. sizes] : [.. sizes, TestInstance.DiskBytes + (2 << 20)];
        long[] Capacities() => [.. guest.Instance.Machine.Disks.Select(disk =>
        {
            byte[] capacity = new byte[8]; // struct virtio_blk_config begins with it, in sectors
            disk.ReadConfig(0, capacity);
            return BitConverter.ToInt64(capacity) * 512;
        })];

        Assert.Equal(expected, Capacities());
        Assert.Equal(RebootOutcome.Switched, (await guest.RebootInBackground()).Outcome);
        Assert.Equal(expected, Capacities());
        Assert.All(guest.Instance.Manifest.Chains, chain => Assert.StartsWith("system", Path.GetFileName(chain[0].Path), StringComparison.Ordinal));
    }

    [Fact]
    public async Task In_place_reboots_boot_the_kernel_that_is_there_now()
    {
        using TestInstance guest = new('1');
        guest.Install('2');
        RebootReport report = await guest.Reboot(RebootMode.InPlace);
        Assert.Equal(RebootOutcome.Rebooted, report.Outcome);
        guest.Ask('v', "<2>");
    }

    private static async Task AssertUnharmed(TestInstance guest)
    {
        guest.Ask('v', "<1>");
        guest.Ask('C', "C"); // every page holds what it held before
        Assert.Equal(MemoryView.Shared, guest.Instance.Machine.Memory.View);
        guest.Entered = null;
        guest.Install('3');
        RebootReport next = await guest.RebootInBackground();
        Assert.Equal((RebootOutcome.Switched, (string?)null), (next.Outcome, next.Reason));
        guest.Ask('v', "<3>");
    }
}
