using System.Diagnostics;
using System.Runtime.InteropServices;
using Kvm.Interop;

namespace VirtioBlk.Store.Tests;

public sealed class RawDiskTests : IDisposable
{
    private readonly TempFolder _folder = new(onDisk: true);

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Moves_more_vectors_than_one_call_takes()
    {
        string path = NewFile(4 << 20);
        byte[] bytes = DiskIo.RandomBytes(2 << 20, 3);
        using (RawDisk disk = RawDisk.Open(path, readOnly: false))
        {
            disk.WriteBytes(1536, bytes, cuts: 3000);
            Assert.Equal(bytes, disk.ReadBytes(1536, bytes.Length, cuts: 2500));
            disk.Flush();
        }

        Assert.Equal(bytes, File.ReadAllBytes(path)[1536..(1536 + bytes.Length)]);
        Assert.Equal(4 << 20, new FileInfo(path).Length);
    }

    [Fact]
    public void Discard_gives_space_back_and_reads_as_zeros()
    {
        string path = NewFile(4 << 20);
        using RawDisk disk = RawDisk.Open(path, readOnly: false);
        disk.WritePattern(0, 4 << 20, 0xAB);
        disk.Flush();
        long before = DiskIo.SpaceOf(path);
        disk.Discard(1 << 20, 2 << 20);
        Assert.InRange(before - DiskIo.SpaceOf(path), (2 << 20) - 4096, 4 << 20);
        Assert.Equal(new byte[2 << 20], disk.ReadBytes(1 << 20, 2 << 20));
        Assert.Equal(DiskIo.Pattern(512, 0xAB), disk.ReadBytes(3 << 20, 512));
    }

    [Theory]
    [InlineData(true, true)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    [InlineData(false, false)]
    public void Zeroes_exactly_the_range(bool mayUnmap, bool onDisk)
    {
        // A file system in memory has no FALLOC_FL_ZERO_RANGE: there zeros are written.
        using TempFolder folder = new(onDisk);
        string path = folder["disk.raw"];
        File.WriteAllBytes(path, new byte[1 << 20]);
        using RawDisk disk = RawDisk.Open(path, readOnly: false);
        disk.WritePattern(0, 1 << 20, 0xCD);
        disk.WriteZeroes(512, 100 << 10, mayUnmap);
        byte[] expected = DiskIo.Pattern(1 << 20, 0xCD);
        expected.AsSpan(512, 100 << 10).Clear();
        Assert.Equal(expected, disk.ReadAll());
    }

    [Fact]
    public unsafe void What_the_page_cache_holds_is_read_without_waiting_and_nothing_else()
    {
        string path = NewFile(4 << 20);
        using RawDisk disk = RawDisk.Open(path, readOnly: false);
        disk.WritePattern(0, 1 << 20, 6);
        disk.Flush();
        byte[] bytes = new byte[65536];
        fixed (byte* at = bytes)
        {
            IoVec[] vectors = [new((nint)at, 512), new((nint)at + 512, 65024)];
            Assert.True(disk.TryReadCached(vectors, 65536));
            Assert.Equal(DiskIo.Pattern(65536, 6), bytes);

            Assert.Equal(0, Qemu.Run("dd", [$"of={path}", "oflag=nocache", "conv=notrunc,fdatasync", "count=0"]).Status);
            Assert.False(disk.TryReadCached(vectors, 65536));
            disk.ReadBytes(65536, 65536);
            Assert.True(disk.TryReadCached(vectors, 65536));
            Assert.False(disk.TryReadCached(vectors, (4 << 20) - 512));
        }
    }

    [Fact(DisplayName = "cache=none: bytes go past the page cache, in sectors")]
    public unsafe void Direct()
    {
        string path = NewFile(4 << 20);
        byte* memory = (byte*)NativeMemory.AlignedAlloc(8192, 4096);
        try
        {
            using RawDisk disk = RawDisk.Open(path, readOnly: false, direct: true);
            DiskIo.Pattern(4096, 3).CopyTo(new Span<byte>(memory, 4096));
            IoVec[] vectors = [new((nint)memory, 512), new((nint)memory + 512, 3584)];
            Assert.False(disk.TryWriteCached(vectors, 512));
            disk.Write(vectors, 512);
            disk.WriteZeroes(8192, 4096, mayUnmap: false);
            disk.Flush();
            using (RawDisk cached = RawDisk.Open(path, readOnly: true, DiskLock.None))
            {
                Assert.False(cached.TryReadCached(vectors, 512)); // it did not pass through there
                Assert.Equal(DiskIo.Pattern(4096, 3), cached.ReadBytes(512, 4096));
            }

            new Span<byte>(memory, 4096).Clear();
            Assert.False(disk.TryReadCached(vectors, 512));
            disk.Read(vectors, 512);
            Assert.Equal(DiskIo.Pattern(4096, 3), new ReadOnlySpan<byte>(memory, 4096).ToArray());
        }
        finally
        {
            NativeMemory.AlignedFree(memory);
        }
    }

    [Fact]
    public void A_file_system_without_direct_IO_is_named()
    {
        // procfs has no direct I/O at all.
        DiskException e = Assert.Throws<DiskException>(() =>
            HostFile.Open("/proc/version", writable: false, DiskLock.None, direct: true));
        Assert.Contains("cache=none", e.Message);
    }

    [Fact]
    public void Frozen_and_read_only_disks_refuse_writes()
    {
        string path = NewFile(1 << 20);
        using (RawDisk disk = RawDisk.Open(path, readOnly: false))
        {
            disk.WritePattern(0, 512, 1);
            disk.Freeze();
            Assert.True(disk.IsReadOnly);
            Assert.Equal($"{path}: is frozen",
                Assert.Throws<DiskException>(() => disk.WritePattern(0, 512, 2)).Message);
            Assert.Throws<DiskException>(() => disk.Discard(0, 512));
            Assert.Throws<DiskException>(() => disk.WriteZeroes(0, 512, true));
            Assert.Equal(DiskIo.Pattern(512, 1), disk.ReadBytes(0, 512));
        }

        using RawDisk reader = RawDisk.Open(path, readOnly: true);
        Assert.Equal($"{path}: is open for reading only",
            Assert.Throws<DiskException>(() => reader.WritePattern(0, 512, 2)).Message);
    }

    [Fact]
    public void Says_that_a_file_has_shrunk()
    {
        string path = NewFile(1 << 20);
        using RawDisk disk = RawDisk.Open(path, readOnly: false);
        using (FileStream stream = new(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
            stream.SetLength(512);
        Assert.Equal(
            $"{path}: has become shorter than it was when it was opened",
            Assert.Throws<DiskException>(() => disk.ReadBytes(0, 1024)).Message);
    }

    [Theory]
    [InlineData("missing", "cannot open it: No such file or directory")]
    [InlineData("folder", "is a directory")]
    [InlineData("fifo", "is neither a file nor a block device")]
    [InlineData("empty", "is empty: a disk has at least one sector")]
    [InlineData("odd", "its size, 1000 bytes, is not a multiple of 512")]
    public void Unusable_files_give_one_clear_line(string kind, string problem)
    {
        string path = _folder[kind];
        if (kind == "folder") Directory.CreateDirectory(path);
        if (kind == "fifo") Process.Start("mkfifo", path).WaitForExit();
        if (kind is "empty" or "odd") File.WriteAllBytes(path, new byte[kind == "odd" ? 1000 : 0]);
        Assert.Equal($"{path}: {problem}",
            Assert.Throws<DiskException>(() => RawDisk.Open(path, readOnly: true)).Message);
        if (kind != "missing")
            Assert.Equal($"{path}: {problem}",
                Assert.Throws<DiskException>(() => RawDisk.Open(path, readOnly: kind == "folder")).Message);
    }

    [Fact]
    public void Block_devices_have_their_size_and_are_opened_for_writing_only_once()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess && File.Exists("/dev/loop-control"), "no loop devices here");
        string file = NewFile(8 << 20);
        (int status, string output) = Qemu.Run("losetup", ["-f", "--show", file]);
        Assert.True(status == 0, output);
        string device = output.Trim();
        try
        {
            using (RawDisk disk = RawDisk.Open(device, readOnly: false))
            {
                Assert.Equal(8 << 20, disk.LengthBytes);
                disk.WritePattern((8 << 20) - 4096, 4096, 5);
                disk.WritePattern(0, 1 << 20, 6);
                disk.WriteZeroes(4096, 8192, mayUnmap: true);
                disk.WriteZeroes(16384, 8192, mayUnmap: false);
                disk.Discard(65536, 65536);
                disk.Flush();
                byte[] expected = DiskIo.Pattern(65536, 6);
                expected.AsSpan(4096, 8192).Clear();
                expected.AsSpan(16384, 8192).Clear();
                Assert.Equal(expected, disk.ReadBytes(0, 65536));
                Assert.Equal(
                    $"{device}: in use: the host has it mounted or open exclusively",
                    Assert.Throws<DiskInUseException>(() => RawDisk.Open(device, readOnly: false)).Message);
            }

            using RawDisk reader = RawDisk.Open(device, readOnly: true);
            Assert.Equal(DiskIo.Pattern(4096, 5), reader.ReadBytes((8 << 20) - 4096, 4096));
        }
        finally
        {
            Assert.Equal(0, Qemu.Run("losetup", ["-d", device]).Status);
        }
    }

    /// <summary>Such a device frees and zeroes whole sectors only; the guest has been told of 512 bytes.</summary>
    [Fact]
    public void A_block_device_of_larger_sectors_zeroes_what_the_guest_asks_for()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess && File.Exists("/dev/loop-control"), "no loop devices here");
        (int status, string output) = Qemu.Run("losetup", ["-f", "--show", "-b", "4096", NewFile(8 << 20)]);
        Assert.True(status == 0, output);
        string device = output.Trim();
        try
        {
            using RawDisk disk = RawDisk.Open(device, readOnly: false);
            disk.WritePattern(0, 1 << 20, 6);
            disk.WriteZeroes(512, 8192, mayUnmap: true);
            disk.WriteZeroes(16896, 8192, mayUnmap: false);
            disk.Discard(32768 + 512, 512);
            byte[] expected = DiskIo.Pattern(32768, 6);
            expected.AsSpan(512, 8192).Clear();
            expected.AsSpan(16896, 8192).Clear();
            Assert.Equal(expected, disk.ReadBytes(0, 32768));
        }
        finally
        {
            Assert.Equal(0, Qemu.Run("losetup", ["-d", device]).Status);
        }
    }

    /// <summary>Nothing relies on it: what must read as zeros is written where it fails.</summary>
    [Fact]
    public void Space_that_cannot_be_given_back_is_no_error_whatever_the_host_says()
    {
        using HostFile file = HostFile.Open(NewFile(1 << 20), writable: true, DiskLock.Exclusive);
        Assert.True(file.TryPunch(0, 4096));
        const long beyondAnyFile = long.MaxValue - 8191;
        Assert.False(file.TryPunch(beyondAnyFile, 4096)); // EFBIG
        Assert.False(file.TryZero(beyondAnyFile, 4096));
        Assert.False(file.TryPunch(0, 0)); // EINVAL
    }

    private string NewFile(long bytes)
    {
        string path = _folder["disk.raw"];
        using FileStream stream = File.Create(path);
        stream.SetLength(bytes);
        return path;
    }
}
