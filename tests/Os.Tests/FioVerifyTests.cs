using System.Globalization;
using Os.Tests.Driver;
using Xunit;

namespace Os.Tests;

/// <summary>
/// fio writes what names its place and its writer, and reads it back: on a raw disk and on an overlay, both
/// used as block devices, and on a file system of a persistent disk.
/// </summary>
public sealed class FioVerifyTests : Scenario
{
    private const long OverlayBytes = 24 << 20, RawBytes = 40 << 20;

    [Fact]
    public void Raw_overlay_and_file_system_give_back_what_was_written_also_to_the_next_process()
    {
        using (Guest guest = Start())
        {
            guest.WaitForPersistentDisk();
            string[] places = [Device(guest, OverlayBytes), Device(guest, RawBytes), "/data/file"];
            foreach (string place in places)
            {
                guest.Run(Fio(place, writer: 1, offsetMiB: 0, "--rw=randwrite --do_verify=1"));
                // Over half of it again: the clusters are there now.
                guest.Run(Fio(place, writer: 2, offsetMiB: 4, "--rw=randwrite --do_verify=1"));
            }
        }

        Vm.Stop();
        using (Guest guest = Vm.StartAgain())
        {
            guest.LogIn();
            guest.WaitForPersistentDisk();
            foreach (string place in (string[])[Device(guest, OverlayBytes), Device(guest, RawBytes), "/data/file"])
                guest.Run(Fio(place, writer: 2, offsetMiB: 4, "--rw=randwrite --verify_only"));
        }

        Vm.Stop();
        Disks.AssertClean(Vm);
    }

    [Fact]
    public void A_background_reboot_keeps_the_persistent_disks_as_they_are_and_the_system_disk_as_it_was_at_the_fork()
    {
        using Guest guest = Start();
        guest.WaitForPersistentDisk();
        string overlay = Device(guest, OverlayBytes), raw = Device(guest, RawBytes);
        guest.Run(Fio(overlay, writer: 1, offsetMiB: 0, "--rw=randwrite --end_fsync=1"));
        guest.Run(Fio(raw, writer: 1, offsetMiB: 0, "--rw=randwrite --end_fsync=1"));
        guest.Run("sync");

        using Command reboot = Vm.BeginReboot();
        reboot.WaitForLine("new OS boots", Limits.Reboot);
        foreach (string place in (string[])[overlay, raw, "/data/file"])
            guest.Run(Fio(place, writer: 2, offsetMiB: 4, "--rw=randwrite --do_verify=1 --end_fsync=1"));
        guest.Run("sync");
        Assert.NotNull(Vm.Status().ShadowPid);

        guest.LogIn();
        Assert.Equal(0, reboot.WaitForExit(Limits.Command).ExitCode);
        guest.WaitForPersistentDisk();
        (overlay, raw) = (Device(guest, OverlayBytes), Device(guest, RawBytes));
        foreach (string place in (string[])[raw, "/data/file"])
            guest.Run(Fio(place, writer: 2, offsetMiB: 4, "--rw=randwrite --verify_only"));
        guest.Run(Fio(overlay, writer: 1, offsetMiB: 0, "--rw=randwrite --verify_only"));
        // That fio would see another writer's blocks for what they are.
        Assert.NotEqual(0, guest.Try(Fio(overlay, writer: 2, offsetMiB: 4, "--rw=randwrite --verify_only")).Status);
        Assert.NotEqual(0, guest.Try(Fio(raw, writer: 1, offsetMiB: 0, "--rw=randwrite --verify_only")).Status);

        Vm.Stop();
        Disks.AssertClean(Vm);
    }

    private Guest Start()
    {
        Guest guest = Vm.Start(
            memory: "192M",
            more: ["--disk", $"{Vm.MakeDisk("base.img", OverlayBytes)},format=raw", "--persistent", Vm.MakeDisk("raw.img", RawBytes)]);
        guest.LogIn();
        return guest;
    }

    /// <summary>The disk of this size, as soon as it has it.</summary>
    private static string Device(Guest guest, long bytes) => "/dev/" + guest.Run(string.Create(
        CultureInfo.InvariantCulture,
        $"(cd /sys/block; until grep -lx {bytes / 512} vd*/size; do usleep 50000; done)")).Split('/')[0];

    /// <summary>
    /// Eight mebibytes in blocks of very different sizes, some of them across clusters. Every block names its place and its writer:
    /// fio 3.33 takes any block whose checksum is right, whoever wrote it.
    /// </summary>
    private static string Fio(string place, int writer, int offsetMiB, string what) => string.Create(
        CultureInfo.InvariantCulture,
        $"fio --name=verify --filename={place} --thread --direct=1 --ioengine=libaio --iodepth=16 --offset={offsetMiB}m --size=8m "
        + $"--bssplit=4k/50:12k/20:64k/20:132k --verify=pattern --verify_pattern=%o'\"{writer}\"' --verify_fatal=1 "
        + $"--output-format=terse {what}");
}
