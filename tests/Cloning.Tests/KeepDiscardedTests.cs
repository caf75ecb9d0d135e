using Cloning.Disks;
using Cloning.Instances;
using Cloning.Tests.Disks;
using Kvm.Interop;
using VirtioBlk;
using Xunit;

namespace Cloning.Tests;

/// <summary>What a background reboot discards can be kept, and outlives the layers it was made of.</summary>
public sealed class KeepDiscardedTests
{
    [Fact]
    public async Task The_discarded_disk_is_one_sound_file_that_survives_upkeep()
    {
        using TestInstance guest = new('1');
        guest.Install('2');
        guest.Entered = phase =>
        {
            // The guest of these tests does not write; this stands for its writes after the fork.
            if (phase == RebootPhase.Boot) Write(guest.Instance.Disks[0].Device, 0xAB, 1 << 20, 128 << 10);
        };
        Write(guest.Instance.Disks[0].Device, 0xCD, 0, 64 << 10); // and before it
        RebootReport report = await guest.Reboot(RebootMode.Background, TimeSpan.FromMinutes(3), keepDiscarded: "");

        Assert.Equal((RebootOutcome.Switched, (string?)null), (report.Outcome, report.Reason));
        Assert.Equal(128 << 10, report.DiscardedBytes);
        Assert.StartsWith(guest.Files.Discarded + "/tiny-20", report.DiscardedPath, StringComparison.Ordinal);
        string kept = Assert.Single(Directory.GetFiles(report.DiscardedPath!));
        Assert.Equal("disk0.qcow2", Path.GetFileName(kept));
        Assert.Null(guest.Instance.Manifest.Kept);

        // The layers it came from are merged and deleted.
        guest.Entered = null;
        for (int i = 0; i < 2; i++)
        {
            await guest.RebootInBackground(TimeSpan.FromMinutes(3));
            await guest.Instance.Upkeep.Work;
        }

        (int status, string output) = Tool.Run("qemu-img", "check", "-f", "qcow2", kept);
        Assert.True(status == 0, output);
        string flat = kept + ".raw";
        (status, output) = Tool.Run("qemu-img", "convert", "-f", "qcow2", "-O", "raw", kept, flat);
        Assert.True(status == 0, output);
        byte[] content = await File.ReadAllBytesAsync(flat, TestContext.Current.CancellationToken);
        Assert.Equal(64 << 10, content.AsSpan(0, 64 << 10).Count((byte)0xCD));
        Assert.Equal(128 << 10, content.AsSpan(1 << 20, 128 << 10).Count((byte)0xAB));
        Assert.Equal((64 + 128) << 10, content.Count(b => b != 0));
        Assert.Equal(2, Directory.GetFiles(guest.Files.Layers).Length);
    }

    [Fact]
    public async Task An_aborted_reboot_keeps_nothing()
    {
        using TestInstance guest = new('1');
        File.Delete(guest.Config.Kernel!);
        RebootReport report = await guest.Reboot(RebootMode.Background, TimeSpan.FromMinutes(3), keepDiscarded: "");
        Assert.Equal((RebootOutcome.Aborted, (string?)null), (report.Outcome, report.DiscardedPath));
        Assert.Empty(Directory.GetDirectories(guest.Files.Discarded));
    }

    [Fact]
    public async Task A_copy_that_was_cut_off_is_made_at_the_next_start_and_given_up_when_its_directory_is_gone()
    {
        string folder = Directory.CreateTempSubdirectory("bgkvm-keep-").FullName;
        try
        {
            using ChainRig chain = ChainRig.Create(folder);
            Write(chain.Disk.Device, 0x11, 0, 1 << 20);
            chain.AddLayer();
            chain.AddLayer();
            string place = Directory.CreateDirectory(Path.Combine(folder, "kept")).FullName;
            KeptDisk kept = new(Path.Combine(place, "disk0.qcow2"), [.. chain.Disk.Layers.SkipLast(1)]);
            File.WriteAllText(kept.File + ".part", "what a killed process left");
            chain.Keep(kept);
            using (After.ChainUpkeep upkeep = new(chain, new InstanceLog(Microsoft.Extensions.Logging.Abstractions.NullLogger.Instance)))
            {
                upkeep.Resume();
                await upkeep.Work.WaitAsync(TimeSpan.FromMinutes(1), TestContext.Current.CancellationToken);
                Assert.Null(chain.Manifest.Kept);
                Assert.Equal([kept.File], Directory.GetFiles(place));
                Assert.Equal(0, Tool.Run("qemu-img", "check", "-f", "qcow2", kept.File).Status);
                Directory.Delete(place, recursive: true);
                upkeep.Pause();
                chain.Keep(kept);
                upkeep.Resume();
                await upkeep.Work.WaitAsync(TimeSpan.FromMinutes(1), TestContext.Current.CancellationToken);
                Assert.Null(chain.Manifest.Kept);
                Assert.False(Directory.Exists(place));
            }
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public async Task A_copy_that_is_there_and_still_in_the_manifest_is_done()
    {
        string folder = Directory.CreateTempSubdirectory("bgkvm-keep-").FullName;
        try
        {
            using ChainRig chain = ChainRig.Create(folder);
            chain.AddLayer();
            string place = Directory.CreateDirectory(Path.Combine(folder, "kept")).FullName;
            KeptDisk kept = new(Path.Combine(place, "disk0.qcow2"), [.. chain.Disk.Layers.SkipLast(1)]);
            chain.Keep(kept);
            // As a process leaves it that is killed when it has renamed the copy.
            Assert.True(After.DiscardedDisks.TryCopy(chain.Directory.Layers, kept, _ => true));
            byte[] copy = await File.ReadAllBytesAsync(kept.File, TestContext.Current.CancellationToken);
            Assert.True(After.DiscardedDisks.TryCopy(chain.Directory.Layers, kept, _ => throw new InvalidOperationException("copied again")));
            Assert.Equal(copy, await File.ReadAllBytesAsync(kept.File, TestContext.Current.CancellationToken));
            Assert.Equal([kept.File], Directory.GetFiles(place));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static unsafe void Write(IBlockBackend disk, byte pattern, long offset, int length)
    {
        byte[] bytes = new byte[length];
        bytes.AsSpan().Fill(pattern);
        // SAFETY: pinned during the call and as long as told.
        fixed (byte* at = bytes) disk.Write([new IoVec((nint)at, (nuint)length)], offset);
    }
}
