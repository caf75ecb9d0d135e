using VirtioBlk.Store;

namespace Bgkvm.Tests;

/// <summary>What one instance writes is not what another one is built upon, whether they run or not.</summary>
public sealed class DiskClaimsTests
{
    [Fact]
    public async Task A_file_is_a_base_or_a_persistent_disk_and_never_both()
    {
        await using Sandbox sandbox = new();
        string data = Path.Combine(sandbox.Home, "data.img"), top = Path.Combine(sandbox.Home, "top.qcow2"), link = Path.Combine(sandbox.Home, "link");
        File.WriteAllBytes(data, new byte[4096]);
        Qcow2Image.Create(top, 4096, sandbox.Disk, DiskFormat.Raw);
        File.CreateSymbolicLink(link, sandbox.Disk);
        Task<Outcome> Start(string name, params string[] disks) =>
            sandbox.Fake(["start", name, .. disks, "--kernel", sandbox.Kernel, "--append", "", "--detach"]);
        async Task Refused(string message, string name, params string[] disks)
        {
            Outcome outcome = await Start(name, disks);
            Assert.Equal(message, outcome.ErrorLine);
            Assert.Equal(1, outcome.ExitCode);
            Assert.False(Directory.Exists(Path.Combine(sandbox.Home, name)));
        }

        await Refused(
            $"{sandbox.Disk} cannot be a persistent disk of one: a system disk of one is based on it",
            "one", "--persistent", sandbox.Disk, "--disk", top + ",format=qcow2");
        Outcome one = await Start("one", "--disk", top + ",format=qcow2", "--persistent", data);
        Assert.True(one.ExitCode == 0, one.Error);
        Assert.Equal(0, (await sandbox.Fake("stop", "one")).ExitCode);

        await Refused($"{link} cannot be a persistent disk of two: a system disk of one is based on it", "two", "--disk", top, "--persistent", link);
        await Refused($"{data} cannot be under a system disk of two: it is a persistent disk of one", "two", "--disk", data);
        Outcome shared = await Start("two", "--disk", sandbox.Disk);
        Assert.True(shared.ExitCode == 0, shared.Error);
        Assert.Equal(0, (await sandbox.Fake("stop", "two")).ExitCode);
        Assert.Equal(0, (await sandbox.Fake("delete", "one")).ExitCode);
        Outcome free = await Start("three", "--disk", data);
        Assert.True(free.ExitCode == 0, free.Error);
    }
}
