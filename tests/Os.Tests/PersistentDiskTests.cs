using Os.Tests.Driver;
using Xunit;

namespace Os.Tests;

/// <summary>
/// The danger of a disk that is not forked: the system that boots in the background finds it, mounts it as its start-up scripts say,
/// and writes to what another system is using at that moment. A shadow tries all of that here, and changes not one byte.
/// </summary>
public sealed class PersistentDiskTests : Scenario
{
    [Fact]
    public void A_shadow_that_mounts_writes_and_formats_it_changes_not_one_byte()
    {
        // It is the first disk here, and the system disk the second: the order of the command line.
        using Guest guest = Vm.Start(append: "root=/dev/vdb", persistentFirst: true);
        guest.LogIn();
        Assert.Equal("persistent0", guest.Run("cat /sys/block/vda/serial"));
        guest.Run(
            "printf '%s\\n' '#!/bin/sh' 'cd /dev; mkdir -p /mnt' 'echo $1 attacks $(cat /sys/block/vda/size) sectors >ttyS0' "
            + "'mount -t ext4 vda /mnt && echo $1 mounted it >ttyS0' "
            + "'dd if=urandom of=vda bs=512 count=8 conv=fsync && echo $1 wrote it >ttyS0' "
            + "'dd if=urandom of=vda bs=64k seek=16 count=16 conv=fsync' 'mke2fs -F vda || mkfs.ext2 -F vda' 'blkdiscard vda' "
            + "'echo $1 is done >ttyS0' >/sbin/attack; chmod 755 /sbin/attack");
        // The new system does it as soon as it can, the old one on its way out.
        guest.Run("sed -i 's|^mdev -d|/sbin/attack new; mdev -d|' /sbin/init && grep -q attack /sbin/init");
        guest.Run("printf '%s\\n' '#!/bin/sh' '/sbin/attack old' 'exec poweroff' >/etc/acpi/PWRF/00000080; sync");
        Treasure treasure = Treasure.Bury(guest);
        guest.Run("mount -o remount,ro /data; sync"); // nobody else writes meanwhile
        string before = Hash();

        using Command reboot = Vm.BeginReboot("--quiesce", "none");
        reboot.WaitForLine("new OS is ready", Limits.Reboot);
        string meanwhile = Hash();
        Assert.Equal(0, reboot.WaitForExit(Limits.Reboot).ExitCode);
        string shadow = File.ReadAllText(Path.Combine(Vm.Home, "shadow.log"));
        // The old one writes to its heart's content, into nothing. The new one finds 4 KiB that refuse every write.
        Assert.Contains("old wrote it", shadow, StringComparison.Ordinal);
        Assert.Contains("old is done", shadow, StringComparison.Ordinal);
        Assert.Contains("new attacks 8 sectors", shadow, StringComparison.Ordinal);
        Assert.Contains("new is done", shadow, StringComparison.Ordinal);
        Assert.DoesNotContain("new mounted it", shadow, StringComparison.Ordinal);
        Assert.DoesNotContain("new wrote it", shadow, StringComparison.Ordinal);
        Assert.Equal(before, meanwhile);

        guest.LogIn();
        guest.WaitForPersistentDisk();
        treasure.AssertOnDisks(guest);
    }

    private string Hash() => Command.Run("sha256sum", Vm.PersistentDisk).Output;
}
