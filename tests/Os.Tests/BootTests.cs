using System.Globalization;
using System.Text.RegularExpressions;
using Os.Tests.Driver;
using Xunit;

namespace Os.Tests;

/// <summary>Stock kernels come up, and the guest may end and restart itself.</summary>
public sealed class BootTests : Scenario
{
    private const ulong MiB = 1 << 20, GiB = 1 << 30;

    [Fact]
    public void A_bzImage_boots_with_two_processors_from_a_disk_found_through_ACPI_and_the_guest_reboots_and_powers_itself_off()
    {
        using Guest guest = Vm.Start(cpus: 2);
        guest.LogIn();
        Assert.Equal("2", guest.Run("nproc"));
        AssertMemory(guest, 128 * MiB);
        Assert.Matches("^/dev/vda / ext4 rw[, ]", guest.Run("grep ' / ' /proc/mounts"));
        Assert.Matches("^/dev/vdb /data ext4 rw[, ]", guest.Run("grep ' /data ' /proc/mounts"));
        Assert.Contains("/LNRO0005:", guest.Run("readlink /sys/block/vda"), StringComparison.Ordinal);
        Assert.DoesNotContain("virtio_mmio", guest.Run("cat /proc/cmdline"), StringComparison.Ordinal);
        InstanceView first = Vm.Status();
        string bootId = guest.BootId();

        guest.Send("reboot\n");
        guest.LogIn();
        Assert.NotEqual(bootId, guest.BootId());
        Assert.Equal("2", guest.Run("nproc"));
        InstanceView second = Vm.Status();
        Assert.Equal(first.Pid, second.Pid);
        Assert.True(second.Generation > first.Generation, $"{first} {second}");

        guest.Send("poweroff\n");
        guest.WaitForEnd(Limits.Answer);
        Vm.WaitGone();
        Assert.Equal("stopped", Vm.Status().State);
        Disks.AssertClean(Vm);
        Disks.AssertUnmounted(Vm);
    }

    [Fact]
    public void An_ELF_kernel_boots_and_a_forced_stop_does_not_ask_the_guest()
    {
        Vm.InstallKernel("6.1", elf: true);
        using Guest guest = Vm.Start();
        guest.LogIn();
        Assert.StartsWith("6.1.", guest.Run("uname -r"), StringComparison.Ordinal);
        Assert.Equal("1", guest.Run("nproc"));
        // A guest that would take no notice of the power button.
        guest.Run("killall acpid; kill -STOP 1");

        Vm.Do("stop", Instance.Name, "--force", "--timeout", "20");
        Vm.WaitGone();
        Assert.Equal("stopped", Vm.Status().State);
        Disks.AssertClean(Vm);
    }

    [Fact]
    public void Six_gibibytes_of_memory_lie_on_both_sides_of_the_hole_below_4_GiB()
    {
        ulong available = ulong.Parse(
            Regex.Match(File.ReadAllText("/proc/meminfo"), "MemAvailable: +([0-9]+) kB").Groups[1].ValueSpan, CultureInfo.InvariantCulture) * 1024;
        Assert.True(available > 6 * GiB + 512 * MiB, $"this test needs 6.5 GiB of available memory; there are {available / MiB} MiB");
        using Guest guest = Vm.Start(memory: "6G");
        guest.LogIn();
        (ulong Start, ulong End)[] ram = AssertMemory(guest, 6 * GiB);
        Assert.Contains(ram, range => range.Start >= 4 * GiB);
        Assert.DoesNotContain(ram, range => range.Start < 4 * GiB && range.End > 4 * GiB);
        // Filled memory lies on both sides, too: the kernel hands out the upper part first.
        Assert.Equal("256+0 records out", guest.Run("dd if=/dev/zero of=/tmp/fill bs=1M count=256 2>&1 | grep out"));
    }

    /// <summary>The guest has the memory that was asked for, less what a PC keeps for itself below 1 MiB.</summary>
    private static (ulong Start, ulong End)[] AssertMemory(Guest guest, ulong expected)
    {
        static ulong Hex(Group digits) => ulong.Parse(digits.ValueSpan, NumberStyles.HexNumber, CultureInfo.InvariantCulture);
        (ulong Start, ulong End)[] ram =
            [.. Regex.Matches(guest.Run("grep 'System RAM' /proc/iomem"), "([0-9a-f]+)-([0-9a-f]+) : System RAM")
                .Select(match => (Hex(match.Groups[1]), Hex(match.Groups[2]) + 1))];
        ulong sum = ram.Aggregate(0UL, (total, range) => total + range.End - range.Start);
        Assert.InRange(sum, expected - MiB, expected);
        return ram;
    }
}
