using System.Diagnostics;

namespace VirtioBlk.Store.Tests;

/// <summary>Who may use a disk beside whom, among ourselves and with QEMU, whose locks have the same layout.</summary>
public sealed class DiskLockTests : IDisposable
{
    private const string Written = "in use: something else writes to it";
    private const string Relied = "in use: something else reads it and relies on it not to change";

    private readonly TempFolder _folder = new();
    private readonly string _path;

    public DiskLockTests()
    {
        _path = _folder["disk.qcow2"];
        Qcow2Image.Create(_path, 1 << 20);
    }

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(true, true, null)]
    [InlineData(true, false, Relied)]
    [InlineData(false, true, Written)]
    [InlineData(false, false, Written)]
    public void Two_opens(bool firstReads, bool secondReads, string? problem)
    {
        using (Qcow2Image.Open(_path, firstReads))
        {
            if (problem is null) Qcow2Image.Open(_path, secondReads).Dispose();
            else AssertInUse(() => Qcow2Image.Open(_path, secondReads), problem);
        }

        Qcow2Image.Open(_path, secondReads).Dispose();
    }

    [Theory]
    [InlineData(true, true, null)]
    [InlineData(true, false, Relied)]
    [InlineData(false, true, Written)]
    [InlineData(false, false, Written)]
    public void Qemu_first(bool qemuReads, bool weRead, string? problem)
    {
        using (Process qemu = StartQemuIo(qemuReads))
        {
            if (problem is null) Qcow2Image.Open(_path, weRead).Dispose();
            else AssertInUse(() => Qcow2Image.Open(_path, weRead), problem);
            qemu.StandardInput.WriteLine("quit");
            qemu.WaitForExit();
        }

        Qcow2Image.Open(_path, weRead).Dispose();
    }

    [Theory]
    [InlineData(true, true, null)]
    [InlineData(true, false, "Failed to get \"write\" lock")]
    [InlineData(false, true, "Failed to get shared \"write\" lock")]
    [InlineData(false, false, "Failed to get \"write\" lock")]
    public void Qemu_second(bool weRead, bool qemuReads, string? problem)
    {
        using Qcow2Image disk = Qcow2Image.Open(_path, weRead);
        string[] command = ["-f", "qcow2", "-c", qemuReads ? "read 0 512" : "write 0 512", _path];
        (int status, string output) = Qemu.Run("qemu-io", qemuReads ? ["-r", .. command] : command);
        Assert.Equal(problem is null, status == 0);
        if (problem is not null) Assert.Contains(problem, output, StringComparison.Ordinal);
    }

    [Fact]
    public void Looking_without_a_lock_is_always_possible()
    {
        using Qcow2Image writer = Qcow2Image.Open(_path, readOnly: false);
        Qcow2Image.Open(_path, readOnly: true, mode: DiskLock.None).Dispose();
    }

    [Fact]
    public void A_refused_lock_leaves_nothing_behind()
    {
        using Qcow2Image first = Qcow2Image.Open(_path, readOnly: true);
        AssertInUse(() => Qcow2Image.Open(_path, readOnly: false), Relied);
        using Qcow2Image second = Qcow2Image.Open(_path, readOnly: true);
    }

    [Fact]
    public void A_frozen_disk_may_be_read_by_others_once_it_is_flushed()
    {
        using Qcow2Image disk = Qcow2Image.Open(_path, readOnly: false);
        disk.Freeze();
        AssertInUse(() => Qcow2Image.Open(_path, readOnly: true), Written);
        disk.Flush();
        Qcow2Image.Open(_path, readOnly: true).Dispose();
        AssertInUse(() => Qcow2Image.Open(_path, readOnly: false), Relied);
    }

    [Fact]
    public void A_disk_is_thawed_only_when_nobody_else_reads_it()
    {
        using Qcow2Image disk = Qcow2Image.Open(_path, readOnly: true);
        using (Qcow2Image.Open(_path, readOnly: true)) AssertInUse(disk.Thaw, Relied);
        disk.Thaw();
        disk.WritePattern(0, 512, 5);
        AssertInUse(() => Qcow2Image.Open(_path, readOnly: true), Written);
        disk.Freeze();
        disk.Flush();
        using Qcow2Image reader = Qcow2Image.Open(_path, readOnly: true);
        Assert.Equal(DiskIo.Pattern(512, 5), reader.ReadBytes(0, 512));
    }

    private void AssertInUse(Action action, string problem) =>
        Assert.Equal($"{_path}: {problem}", Assert.Throws<DiskInUseException>(action).Message);

    private Process StartQemuIo(bool readOnly)
    {
        string[] args = ["-f", "qcow2", _path];
        Process process = Process.Start(new ProcessStartInfo("qemu-io", readOnly ? ["-r", .. args] : args)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
        })!;
        // Its answer says that it has the disk open; for a writer, that it has taken the lock for writing.
        process.StandardInput.WriteLine(readOnly ? "read 0 512" : "write 0 512");
        Assert.Contains("512/512 bytes", process.StandardOutput.ReadLine(), StringComparison.Ordinal);
        return process;
    }
}
