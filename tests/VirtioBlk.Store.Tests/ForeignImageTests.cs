namespace VirtioBlk.Store.Tests;

/// <summary>What cloud images may hold and this program does not make: compressed clusters, extended L2 entries.</summary>
public sealed class ForeignImageTests : IDisposable
{
    private const int DiskBytes = (9 << 20) + 512 * 3;

    private readonly TempFolder _folder = new();
    private readonly byte[] _content = new byte[DiskBytes];

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("zlib", 4096)]
    [InlineData("zlib", 65536)]
    [InlineData("zlib", 2 << 20)]
    [InlineData("zstd", 4096)]
    [InlineData("zstd", 65536)]
    [InlineData("zstd", 2 << 20)]
    public void Compressed_clusters_are_read_and_written_over(string type, int clusterBytes)
    {
        string path = MakeCompressed(type, clusterBytes);
        using (Qcow2Image image = Qcow2Image.Open(path, readOnly: true))
        {
            AssertReads(image);
            Assert.True(image.AllocatedBytes > DiskBytes / 2);
        }

        using (Qcow2Image image = Qcow2Image.Open(path, readOnly: false))
        {
            // Neighbours stay: several compressed clusters share one of the file.
            foreach (int offset in (int[])[512, 70_144, 200_704, 4 << 20, (8 << 20) + 512])
            {
                byte[] bytes = DiskIo.RandomBytes(1024, offset);
                image.WriteBytes(offset, bytes);
                bytes.CopyTo(_content, offset);
            }

            image.WriteZeroes(3 << 20, 512 << 10, mayUnmap: true);
            _content.AsSpan(3 << 20, 512 << 10).Clear();
            image.WriteZeroes(3584 << 10, 512 << 10, mayUnmap: false);
            _content.AsSpan(3584 << 10, 512 << 10).Clear();
            image.Flush();
            Qemu.AssertClean(path);
            AssertReads(image);
            image.WriteBytes(0, _content);
            image.Flush();
            AssertReads(image);
        }

        Qemu.AssertClean(path);
        Assert.True(_content.AsSpan().SequenceEqual(Qemu.ReadAll(path, "qcow2", _folder)));
    }

    [Theory]
    [InlineData("zlib")]
    [InlineData("zstd")]
    public void Compressed_clusters_that_are_cut_short_or_changed_give_an_error_or_other_bytes(string type)
    {
        byte[] sound = File.ReadAllBytes(MakeCompressed(type, 65536));
        Random random = new(1);
        int errors = 0;
        for (int i = 0; i < 200; i++)
        {
            byte[] damaged = [.. sound];
            for (int n = 0; n < 20; n++) damaged[random.Next(0x50000, damaged.Length)] ^= (byte)random.Next(1, 256);
            using Qcow2Image image = Qcow2Image.Open(new RecordingFile("damaged", damaged), readOnly: true, null);
            try
            {
                Assert.Equal(DiskBytes, image.ReadAll().Length);
            }
            catch (DiskException e)
            {
                Assert.StartsWith("damaged: corrupt: the compressed cluster at offset ", e.Message, StringComparison.Ordinal);
                errors++;
            }
        }

        Assert.InRange(errors, 50, 200);
    }

    [Theory]
    [InlineData(16384, false)]
    [InlineData(65536, false)]
    [InlineData(65536, true)]
    [InlineData(2 << 20, true)]
    public void Extended_L2_entries_are_read(int clusterBytes, bool onBase)
    {
        string path = _folder["a.qcow2"];
        string options = $"extended_l2=on,cluster_size={clusterBytes}";
        File.WriteAllBytes(_folder["base"], DiskIo.RandomBytes(DiskBytes - 65536, 3));
        string[] backing = onBase ? ["-b", "base", "-F", "raw"] : [];
        Qemu.Img(["create", "-f", "qcow2", "-o", options, .. backing, path, $"{DiskBytes}"]);
        Random random = new(clusterBytes);
        for (int round = 0; round < 4; round++)
        {
            Qemu.Io(path, "qcow2", [.. Enumerable.Range(0, 12).Select(i =>
            {
                int first = random.Next(DiskBytes / 512 - 1);
                string range = $"{first * 512} {Math.Min(random.Next(1, 300), DiskBytes / 512 - first) * 512}";
                return (i % 4) switch { 0 => $"write -z {range}", 1 => $"write -zu {range}", _ => $"write -P {i + 1} {range}" };
            })]);
            byte[] expected = Qemu.ReadAll(path, "qcow2", _folder);
            using IDiskLayer disk = DiskChain.Open(path, DiskFormat.Qcow2, readOnly: true);
            Assert.True(expected.AsSpan().SequenceEqual(disk.ReadAll()));
            for (int i = 0; i < 50; i++)
            {
                int offset = random.Next(DiskBytes / 512 - 256) * 512;
                Assert.Equal(expected[offset..(offset + 65536)], disk.ReadBytes(offset, 65536, cuts: 7));
            }
        }

        Assert.Equal(
            $"{path}: has extended L2 entries, so it can only be read",
            Assert.Throws<DiskException>(() => Qcow2Image.Open(path, readOnly: false)).Message);
    }

    [Fact]
    public void Extended_L2_entries_with_compressed_clusters_under_an_overlay_of_ours()
    {
        File.WriteAllBytes(_folder["raw"], Fill());
        Qemu.Img("convert", "-c", "-f", "raw", "-O", "qcow2", "-o", "extended_l2=on,compression_type=zstd",
            _folder["raw"], _folder["base"]);
        Qcow2Image.Create(_folder["top"], DiskBytes, "base", DiskFormat.Qcow2);
        using (IDiskLayer disk = DiskChain.Open(_folder["top"], DiskFormat.Qcow2, readOnly: false))
        {
            byte[] bytes = DiskIo.RandomBytes(3072, 5);
            for (int offset = 512; offset < DiskBytes - 3072; offset += 1 << 20)
            {
                disk.WriteBytes(offset, bytes);
                bytes.CopyTo(_content, offset);
            }

            AssertReads(disk);
        }

        Assert.True(_content.AsSpan().SequenceEqual(Qemu.ReadAll(_folder["top"], "qcow2", _folder)));
    }

    [Fact]
    public void A_compressed_layer_is_merged()
    {
        File.WriteAllBytes(_folder["base"], new byte[DiskBytes]);
        File.WriteAllBytes(_folder["raw"], Fill());
        Qemu.Img("convert", "-c", "-f", "raw", "-O", "qcow2", _folder["raw"], _folder["middle"]);
        Qemu.Img("rebase", "-u", "-b", "base", "-F", "raw", _folder["middle"]);
        Qcow2Image.Create(_folder["top"], DiskBytes, "middle", DiskFormat.Qcow2);
        using Qcow2Image top = (Qcow2Image)DiskChain.Open(_folder["top"], DiskFormat.Qcow2, readOnly: false);
        using LayerMerge merge = new(top);
        while (merge.Step()) AssertReads(top);
        merge.Complete().Dispose();
        AssertReads(top);
        Assert.True(_content.AsSpan().SequenceEqual(File.ReadAllBytes(_folder["base"])));
    }

    /// <summary>Some that compresses well, some that does not at all, and zeros.</summary>
    private byte[] Fill()
    {
        Random random = new(7);
        for (int i = 0; i < DiskBytes; i++) _content[i] = (byte)(i / 1000 + random.Next(2));
        DiskIo.RandomBytes(1 << 20, 8).CopyTo(_content, 2 << 20);
        _content.AsSpan(6 << 20, 1 << 20).Clear();
        return _content;
    }

    private string MakeCompressed(string type, int clusterBytes)
    {
        string path = _folder["a.qcow2"];
        File.WriteAllBytes(_folder["raw"], Fill());
        Qemu.Img("convert", "-c", "-f", "raw", "-O", "qcow2",
            "-o", $"compression_type={type},cluster_size={clusterBytes}", _folder["raw"], path);
        return path;
    }

    private void AssertReads(IBlockBackend disk) => Assert.True(_content.AsSpan().SequenceEqual(disk.ReadAll()));
}
