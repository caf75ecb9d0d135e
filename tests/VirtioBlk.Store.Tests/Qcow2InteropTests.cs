using Kvm.Interop;

namespace VirtioBlk.Store.Tests;

/// <summary>Images that QEMU made or changed, read and changed here; and the other way round.</summary>
public sealed class Qcow2InteropTests : IDisposable
{
    private readonly TempFolder _folder = new(onDisk: true);

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("compat=1.1,cluster_size=512")]
    [InlineData("compat=1.1,cluster_size=4k")]
    [InlineData("compat=1.1,cluster_size=2M")]
    [InlineData("compat=1.1,lazy_refcounts=on")]
    [InlineData("compat=1.1,preallocation=metadata")]
    [InlineData("compat=0.10")]
    public void Reads_and_goes_on_writing_what_qemu_made(string options)
    {
        string path = _folder["a.qcow2"];
        Qemu.Img("create", "-f", "qcow2", "-o", options, path, "33M");
        Qemu.Io(path, "qcow2", "write -P 17 0 3k", "write -P 18 1M 2M", "write -P 19 32M 1M");
        if (!options.Contains("0.10", StringComparison.Ordinal))
            Qemu.Io(path, "qcow2", "write -z 1M 1M", "discard 2M 512k");
        byte[] expected = Qemu.ReadAll(path, "qcow2", _folder);
        using (Qcow2Image image = Qcow2Image.Open(path, readOnly: true)) Assert.Equal(expected, image.ReadAll());
        if (options.Contains("0.10", StringComparison.Ordinal)) return;

        using (Qcow2Image image = Qcow2Image.Open(path, readOnly: false))
        {
            for (int i = 0; i < 30; i++)
            {
                byte[] bytes = DiskIo.RandomBytes(i * 3000 / 512 * 512 + 512, i);
                image.WriteBytes(i << 20, bytes);
                bytes.CopyTo(expected, i << 20);
            }
        }

        Qemu.AssertClean(path);
        Assert.Equal(expected, Qemu.ReadAll(path, "qcow2", _folder));
    }

    [Fact]
    public void Qemu_goes_on_writing_what_we_made()
    {
        string path = _folder["a.qcow2"];
        File.WriteAllBytes(_folder["base.raw"], DiskIo.RandomBytes(20 << 20, 1));
        Qcow2Image.Create(path, 32 << 20, "base.raw", DiskFormat.Raw);
        using (IDiskLayer disk = DiskChain.Open(path, DiskFormat.Qcow2, readOnly: false))
        {
            disk.WritePattern(1 << 20, 3 << 20, 33);
            disk.Discard(2 << 20, 1 << 20);
            disk.WriteZeroes(8 << 20, 70 << 10, mayUnmap: false);
        }

        Qemu.Io(path, "qcow2",
            "read -P 33 1M 1M", "read -P 0 2M 1M", "read -P 0 8M 70k",
            "write -P 44 2560k 100k", "write -P 45 8M 4k", "write -z 3M 300k", "discard 1M 128k", "write -P 46 31M 1M");
        Qemu.AssertClean(path);
        byte[] expected = Qemu.ReadAll(path, "qcow2", _folder);
        using (IDiskLayer disk = DiskChain.Open(path, DiskFormat.Qcow2, readOnly: false))
        {
            Assert.Equal(expected, disk.ReadAll());
            disk.WritePattern(0, 32 << 20, 7);
        }

        Qemu.AssertClean(path);
        Assert.Equal(DiskIo.Pattern(32 << 20, 7), Qemu.ReadAll(path, "qcow2", _folder));
    }

    [Fact]
    public void Header_says_what_qemu_expects()
    {
        File.WriteAllBytes(_folder["odd:name.raw"], new byte[1 << 20]);
        string path = _folder["a.qcow2"];
        Qcow2Image.Create(path, 5L << 40, "odd:name.raw", DiskFormat.Raw, clusterBytes: 1 << 20);
        string info = Qemu.Img("info", "--output=json", path);
        Assert.Contains("\"virtual-size\": 5497558138880", info, StringComparison.Ordinal);
        Assert.Contains("\"cluster-size\": 1048576", info, StringComparison.Ordinal);
        Assert.Contains("\"backing-filename\": \"./odd:name.raw\"", info, StringComparison.Ordinal);
        Assert.Contains("\"backing-filename-format\": \"raw\"", info, StringComparison.Ordinal);
        Assert.Contains("\"refcount-bits\": 16", info, StringComparison.Ordinal);
        Qemu.AssertClean(path);
    }

    [Theory]
    [InlineData(65536, 64L << 40)]
    [InlineData(2 << 20, 1L << 50)]
    [InlineData(4096, 4L << 40)]
    public void Disks_of_many_tebibytes(int clusterBytes, long diskBytes)
    {
        string path = _folder["a.qcow2"];
        Qcow2Image.Create(path, diskBytes, clusterBytes: clusterBytes);
        long[] offsets = [0, diskBytes / 3 / 512 * 512, diskBytes / 2, diskBytes - 4096];
        using (Qcow2Image image = Qcow2Image.Open(path, readOnly: false))
        {
            foreach (long offset in offsets) image.WritePattern(offset, 4096, (byte)(offset >> 30 | 1));
            Assert.InRange(image.AllocatedBytes, 4 * clusterBytes, 5 * clusterBytes);
        }

        Qemu.Io(path, "qcow2", [.. offsets.Select(offset => $"read -P {(byte)(offset >> 30 | 1)} {offset} 4096")]);
        Qemu.AssertClean(path);
        Assert.InRange(DiskIo.SpaceOf(path), 0, 48L << 20);
    }

    [Theory]
    [InlineData(512, 64 << 10)]
    [InlineData(512, long.MaxValue)]
    [InlineData(4096, 256 << 10)]
    public void Refcount_table_grows_and_the_cache_stays_small(int clusterBytes, long cacheBytes)
    {
        const int DiskBytes = 40 << 20;
        string path = _folder["a.qcow2"];
        Qcow2Image.Create(path, DiskBytes, clusterBytes: clusterBytes);
        byte[] model = new byte[DiskBytes];
        Random random = new(1);
        HostFile file = HostFile.Open(path, true, DiskLock.Exclusive);
        using (Qcow2Image image = Qcow2Image.Open(file, false, null, cacheBytes))
        {
            for (int i = 0; i < 160; i++)
            {
                byte[] bytes = DiskIo.RandomBytes(256 << 10, i);
                int offset = random.Next((DiskBytes - bytes.Length) / 512) * 512;
                image.WriteBytes(offset, bytes);
                bytes.CopyTo(model, offset);
                if (i % 40 == 39) image.Flush();
            }

            Assert.True(model.AsSpan().SequenceEqual(image.ReadAll()));
        }

        Qemu.AssertClean(path);
        Assert.True(model.AsSpan().SequenceEqual(Qemu.ReadAll(path, "qcow2", _folder)));
    }

    [Fact]
    public void Discard_gives_space_back_and_it_is_used_again()
    {
        string path = _folder["a.qcow2"];
        Qcow2Image.Create(path, 64 << 20);
        using Qcow2Image image = Qcow2Image.Open(path, readOnly: false);
        image.WritePattern(0, 16 << 20, 0xAA);
        image.Flush();
        long space = DiskIo.SpaceOf(path);
        long length = new FileInfo(path).Length;
        Assert.Equal(16 << 20, image.AllocatedBytes);

        image.Discard(0, 8 << 20);
        image.Flush();
        Assert.Equal(8 << 20, image.AllocatedBytes);
        Assert.InRange(space - DiskIo.SpaceOf(path), (8 << 20) - 65536, 9 << 20);
        Qemu.AssertClean(path);

        image.WritePattern(32 << 20, 8 << 20, 0xBB);
        image.Flush();
        Assert.Equal(length, new FileInfo(path).Length);
        Assert.Equal(new byte[8 << 20], image.ReadBytes(0, 8 << 20));
        Assert.Equal(DiskIo.Pattern(8 << 20, 0xBB), image.ReadBytes(32 << 20, 8 << 20));
        Qemu.AssertClean(path);
    }

    [Fact]
    public void Allocated_bytes_are_counted_in_an_image_that_was_there_before()
    {
        string path = _folder["a.qcow2"];
        Qcow2Image.Create(path, 3L << 30);
        using (Qcow2Image image = Qcow2Image.Open(path, readOnly: false))
        {
            image.WritePattern(512, 512, 1);
            image.WritePattern(2L << 30, 1 << 20, 2);
            image.WriteZeroes((2L << 30) + 65536, 65536, mayUnmap: false);
            Assert.Equal(16 * 65536, image.AllocatedBytes);
        }

        using (Qcow2Image image = Qcow2Image.Open(path, readOnly: true)) Assert.Equal(16 * 65536, image.AllocatedBytes);
    }

    [Fact]
    public unsafe void Only_what_need_not_wait_is_done_at_once()
    {
        string path = _folder["a.qcow2"];
        Qcow2Image.Create(path, 4L << 30, "none", DiskFormat.Raw);
        byte[] bytes = DiskIo.RandomBytes(65536, 4);
        fixed (byte* at = bytes)
        {
            IoVec[] sector = [new((nint)at, 512)];
            IoVec[] more = [new((nint)at, 32768), new((nint)at + 32768, 32768)];
            using Qcow2Image image = Qcow2Image.Open(path, readOnly: false, new UnreadableBackend(4L << 30));
            // Not allocated; nor is the second half here.
            Assert.False(image.TryWriteCached(sector, 0));
            image.WritePattern(0, 65536, 1);
            Assert.False(image.TryWriteCached(more, 32768));
            image.WritePattern(65536, 65536, 1);
            Assert.True(image.TryWriteCached(more, 32768));
            Assert.Equal(bytes, image.ReadBytes(32768, 65536));
            Assert.True(image.TryReadCached(more, 0));
            Assert.Equal(image.ReadBytes(0, 65536), bytes);
            Assert.False(image.TryReadCached(sector, 1 << 20)); // the backing's
            image.WriteZeroes(0, 65536, mayUnmap: true);
            Assert.False(image.TryWriteCached(sector, 0));
            Assert.True(image.TryReadCached(sector, 0));
            image.WritePattern(0, 65536, 2);
        }

        using Qcow2Image again = Qcow2Image.Open(path, readOnly: false, new UnreadableBackend(4L << 30));
        fixed (byte* at = bytes)
        {
            // The tables are not in memory yet.
            IoVec[] sector = [new((nint)at, 512)];
            Assert.False(again.TryReadCached(sector, 0));
            Assert.False(again.TryWriteCached(sector, 0));
            again.ReadBytes(0, 512);
            Assert.True(again.TryReadCached(sector, 0));
            Assert.True(again.TryWriteCached(sector, 0));
        }
    }

    [Fact]
    public void A_write_that_covers_its_clusters_reads_nothing_from_the_backing()
    {
        string path = _folder["a.qcow2"];
        Qcow2Image.Create(path, 1 << 20, "none", DiskFormat.Raw);
        using Qcow2Image image = Qcow2Image.Open(path, readOnly: false, new UnreadableBackend(1 << 20));
        image.WritePattern(65536, 2 * 65536, 1);
        Assert.Throws<InvalidOperationException>(() => image.WritePattern(4 * 65536, 512, 1));
        Assert.Equal(DiskIo.Pattern(2 * 65536, 1), image.ReadBytes(65536, 2 * 65536));
    }
}
