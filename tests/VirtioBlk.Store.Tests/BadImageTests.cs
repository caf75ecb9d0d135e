using System.Buffers.Binary;
using CsCheck;

namespace VirtioBlk.Store.Tests;

/// <summary>
/// Images that are damaged, hostile or need what is not supported: one clear line each, in bounded time and memory.
/// </summary>
public sealed class BadImageTests : IDisposable
{
    private const int ClusterBytes = 4096;
    private const int DiskBytes = 4 << 20;

    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    public static TheoryData<string, int, string, string> Headers => new()
    {
        // what, offset, new bytes, message
        { "magic", 0, "00000000", "not a qcow2 image" },
        { "version 1", 4, "00000001", "qcow2 version 1 is not supported (2 and 3 are)" },
        { "version 4", 4, "00000004", "qcow2 version 4 is not supported (2 and 3 are)" },
        { "clusters too small", 20, "00000008", "a cluster size of 2^8 bytes is not supported (2^9 to 2^21 are)" },
        { "clusters too large", 20, "00000016", "a cluster size of 2^22 bytes is not supported (2^9 to 2^21 are)" },
        { "absurd", 20, "FFFFFFFF", "a cluster size of 2^4294967295 bytes is not supported (2^9 to 2^21 are)" },
        { "no size", 24, "0000000000000000", "its disk size, 0 bytes, is not a positive multiple of 512" },
        {
            "negative size", 24, "FFFFFFFFFFFFFE00",
            "its disk size, 18446744073709551104 bytes, is not a positive multiple of 512"
        },
        { "odd size", 24, "00000000003FFFFF", "its disk size, 4194303 bytes, is not a positive multiple of 512" },
        { "size beyond L1", 24, "0000000100000000", "corrupt: an L1 table of 2 entries for 4294967296 bytes" },
        { "AES", 32, "00000001", "uses encryption (method 1), which is not supported" },
        { "LUKS", 32, "00000002", "uses encryption (method 2), which is not supported" },
        { "huge L1", 36, "7FFFFFFF", "corrupt: an L1 table of 2147483647 entries for 4194304 bytes" },
        { "L1 off cluster", 40, "0000000000003100", "corrupt: the L1 table is said to be at 0x3100" },
        { "L1 at header", 40, "0000000000000000", "corrupt: the L1 table is said to be at 0x0" },
        { "L1 beyond end", 40, "0000100000000000", "corrupt: the L1 table is said to be at 0x100000000000" },
        { "L1 at far end", 40, "FFFFFFFFFFFFF000", "corrupt: the L1 table is said to be at 0xfffffffffffff000" },
        { "L1 in refcount table", 40, "0000000000001000", "corrupt: the L1 and refcount tables overlap" },
        { "refcount table off cluster", 48, "0000000000001001", "corrupt: the refcount table is said to be at 0x1001" },
        { "no such place", 48, "0000100000000000", "corrupt: the refcount table is said to be at 0x100000000000" },
        { "no refcount table", 56, "00000000", "corrupt: a refcount table of 0 clusters" },
        { "huge refcount table", 56, "FFFFFFFF", "corrupt: a refcount table of 4294967295 clusters" },
        { "corrupt bit", 72, "0000000000000002", "is marked as corrupt; repair it with: qemu-img check -r all" },
        { "external data", 72, "0000000000000004", "uses the feature \"external data file\", which is not supported" },
        { "no compression type", 72, "0000000000000008", "corrupt: compression type 0 and feature bits 0x8" },
        { "hidden compression type", 104, "01", "corrupt: compression type 1 and feature bits 0x0" },
        {
            "compression type 2", 72, "0000000000000008000000000000000000000000000000000000000400000070" + "02",
            "uses compression type 2, which is not supported (zlib and zstd are)"
        },
        {
            "tiny subclusters", 72, "0000000000000010", "corrupt: extended L2 entries for clusters of 4096 bytes"
        },
        { "unknown feature", 72, "0000000000000020", "uses an unknown incompatible feature (bit 5)" },
        { "unknown feature 63", 72, "8000000000000000", "uses an unknown incompatible feature (bit 63)" },
        { "refcount order", 96, "00000007", "corrupt: a refcount order of 7" },
        { "short header", 100, "00000060", "corrupt: a header of 96 bytes" },
        { "odd header", 100, "0000006C", "corrupt: a header of 108 bytes" },
        { "long header", 100, "00010000", "corrupt: a header of 65536 bytes" },
        { "long extension", 112, "1234567800010000", "corrupt: a header extension is longer than the header" },
        { "name outside", 8, "000000000000100000000010", "corrupt: the backing file's name lies outside the header" },
        { "name far off", 8, "FFFFFFFFFFFFFFFF00000010", "corrupt: the backing file's name lies outside the header" },
        { "name in header", 8, "000000000000001000000010", "corrupt: the backing file's name lies outside the header" },
        { "name too long", 8, "000000000000020000000400", "corrupt: the backing file's name lies outside the header" },
    };

    [Theory]
    [MemberData(nameof(Headers))]
    public void Headers_that_cannot_be_opened(string what, int offset, string bytes, string problem)
    {
        Assert.NotEmpty(what);
        string path = Make();
        Patch(path, offset, Convert.FromHexString(bytes));
        foreach (bool readOnly in (bool[])[true, false])
            Assert.Equal($"{path}: {problem}",
                Assert.Throws<DiskException>(() => Qcow2Image.Open(path, readOnly)).Message);
    }

    [Theory]
    [InlineData("dirty", 72, "0000000000000001",
        "was not closed properly (dirty bit set); repair it with: qemu-img check -r all")]
    [InlineData("snapshots", 60, "00000001", "holds internal snapshots, so it can only be read")]
    [InlineData("8-bit refcounts", 96, "00000003", "has refcounts of 8 bits, so it can only be read")]
    [InlineData("version 2", 4, "00000002",
        "is version 2, which can only be read; convert it with: qemu-img amend -o compat=1.1")]
    public void Headers_that_can_only_be_read(string what, int offset, string bytes, string problem)
    {
        Assert.NotEmpty(what);
        string path = Make();
        Patch(path, offset, Convert.FromHexString(bytes));
        byte[] before = File.ReadAllBytes(path);
        Assert.Equal($"{path}: {problem}",
            Assert.Throws<DiskException>(() => Qcow2Image.Open(path, readOnly: false)).Message);
        using (Qcow2Image image = Qcow2Image.Open(path, readOnly: true))
            Assert.Equal(DiskIo.Pattern(65536, 1), image.ReadBytes(0, 65536));
        Assert.Equal(before, File.ReadAllBytes(path));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    [InlineData(71)]
    [InlineData(103)]
    public void Cut_short(int bytes)
    {
        string path = Make();
        using (FileStream stream = new(path, FileMode.Open)) stream.SetLength(bytes);
        Assert.Equal(
            $"{path}: {(bytes < 72 ? "not a qcow2 image" : "corrupt: the header is cut short")}",
            Assert.Throws<DiskException>(() => Qcow2Image.Open(path, readOnly: true)).Message);
    }

    public static TheoryData<string, string> Entries => new()
    {
        { "8000000000000000", "corrupt: L2 entry 0x8000000000000000 for offset 0" },
        { "8000000000000001", "corrupt: L2 entry 0x8000000000000001 for offset 0" },
        { "8000000000000000|L1", "corrupt: an L2 table is said to be at 0x0" },
        { "8000000000000200", "corrupt: the cluster at offset 0 is said to be at 0x200" },
        { "8000000000001000", "corrupt: the cluster at offset 0 is said to be at 0x1000" },
        { "8000000000001000|L1", "corrupt: an L2 table is said to be at 0x1000" },
        { "80FFFFFFFFFFF000", "corrupt: the cluster at offset 0 is said to be at 0xfffffffffff000" },
        { "80FFFFFFFFFFF000|L1", "corrupt: an L2 table is said to be at 0xfffffffffff000" },
        { "8000000000003000|L1", "corrupt: an L2 table is said to be at 0x3000" },
        { "8000000000002000|L1", "" },
        { "9000000000005000", "corrupt: the cluster at offset 0 is said to be at 0x1000000000005000" },
        { "0000000000005000", "corrupt: the cluster at offset 0 is marked as shared, with nothing to share it" },
        { "0000000000004000|L1", "corrupt: an L2 table is marked as shared, with nothing to share it" },
        { "4000000000005000", "corrupt: the compressed cluster at offset 0" },
        { "C000000000005000", "corrupt: L2 entry 0xc000000000005000 for offset 0" },
        { "4000000000000200", "corrupt: L2 entry 0x4000000000000200 for offset 0" },
        { "4000000000001FFF", "corrupt: L2 entry 0x4000000000001fff for offset 0" },
        { "43FFFFFFFFFFFFFF", "corrupt: L2 entry 0x43ffffffffffffff for offset 0" },
    };

    [Theory]
    [MemberData(nameof(Entries))]
    public void Entries_that_point_nowhere_good(string entry, string problem)
    {
        string path = Make();
        bool inL1 = entry.EndsWith("|L1", StringComparison.Ordinal);
        Patch(path, inL1 ? 0x3000 : 0x4000, Convert.FromHexString(entry[..16]));
        using Qcow2Image image = Qcow2Image.Open(path, readOnly: true);
        if (problem.Length == 0)
        {
            // A refcount block read as an L2 table: its counts are no entries.
            Assert.StartsWith($"{path}: corrupt: ",
                Assert.Throws<DiskException>(() => image.ReadBytes(0, 512)).Message, StringComparison.Ordinal);
            return;
        }

        Assert.Equal($"{path}: {problem}", Assert.Throws<DiskException>(() => image.ReadBytes(0, 512)).Message);
    }

    [Fact]
    public void Free_clusters_that_are_not_free_are_not_handed_out()
    {
        string path = Make();
        // The refcount block says that nothing is in use.
        Patch(path, 0x2000, new byte[ClusterBytes]);
        byte[] before = File.ReadAllBytes(path);
        using (Qcow2Image image = Qcow2Image.Open(path, readOnly: false))
        {
            Assert.Equal(
                $"{path}: corrupt: cluster 0x0 holds metadata but counts as free",
                Assert.Throws<DiskException>(() => image.WritePattern(1 << 20, 512, 1)).Message);
        }

        Assert.Equal(before, File.ReadAllBytes(path));
    }

    [Fact]
    public void A_refcount_block_used_a_million_times_keeps_nobody()
    {
        const int Blocks = 1 << 20;
        string path = _folder["full"];
        Qcow2Image.Create(path, DiskBytes, clusterBytes: ClusterBytes);
        byte[] table = new byte[Blocks * 8];
        for (int i = 0; i < Blocks; i++) BinaryPrimitives.WriteInt64BigEndian(table.AsSpan(i * 8), 0x4000);
        byte[] size = new byte[4];
        BinaryPrimitives.WriteInt32BigEndian(size, table.Length / ClusterBytes);
        Patch(path, 0x4000, DiskIo.Pattern(ClusterBytes, 1));
        Patch(path, 0x5000, table);
        Patch(path, 48, Convert.FromHexString("0000000000005000"));
        Patch(path, 56, size);
        using Qcow2Image image = Qcow2Image.Open(path, readOnly: false);
        Assert.Equal(
            $"{path}: corrupt: clusters beyond the end of the file count as used",
            Assert.Throws<DiskException>(() => image.WritePattern(0, 512, 1)).Message);
    }

    [Fact]
    public void A_table_used_a_thousand_times_is_not_counted_to_its_end()
    {
        string path = _folder["same"];
        Qcow2Image.Create(path, 2L << 30, clusterBytes: ClusterBytes);
        using (Qcow2Image image = Qcow2Image.Open(path, readOnly: false)) image.WritePattern(0, 1 << 20, 1);
        byte[] entry = File.ReadAllBytes(path)[0x3000..0x3008];
        for (int i = 1; i < 1024; i++) Patch(path, 0x3000 + i * 8, entry);
        using Qcow2Image twisted = Qcow2Image.Open(path, readOnly: true);
        Assert.Equal(
            $"{path}: corrupt: it maps more clusters than its file has",
            Assert.Throws<DiskException>(() => twisted.AllocatedBytes).Message);
    }

    [Fact]
    public void Real_snapshotted_images()
    {
        string raw = _folder["raw"];
        File.WriteAllBytes(raw, DiskIo.Pattern(1 << 20, 3));
        Qemu.Img("convert", "-f", "raw", "-O", "qcow2", raw, _folder["s.qcow2"]);
        Qemu.Img("snapshot", "-c", "tag", _folder["s.qcow2"]);
        using (Qcow2Image image = Qcow2Image.Open(_folder["s.qcow2"], readOnly: true))
            Assert.Equal(DiskIo.Pattern(1 << 20, 3), image.ReadAll());
        Assert.Equal(
            $"{_folder["s.qcow2"]}: holds internal snapshots, so it can only be read",
            Assert.Throws<DiskException>(() => Qcow2Image.Open(_folder["s.qcow2"], readOnly: false)).Message);
        Qemu.Img("snapshot", "-d", "tag", _folder["s.qcow2"]);
        using (Qcow2Image image = Qcow2Image.Open(_folder["s.qcow2"], readOnly: false))
            image.WritePattern(0, 1 << 20, 4);
        Qemu.AssertClean(_folder["s.qcow2"]);
    }

    [Fact]
    public void Autoclear_features_are_cleared_by_a_writer_only()
    {
        string path = Make();
        Patch(path, 88, [0x80, 0, 0, 0, 0, 0, 0, 1]);
        Qcow2Image.Open(path, readOnly: true).Dispose();
        Assert.Equal(1, File.ReadAllBytes(path)[95]);
        Qcow2Image.Open(path, readOnly: false).Dispose();
        Assert.Equal(new byte[8], File.ReadAllBytes(path)[88..96]);
        Qemu.AssertClean(path);
    }

    /// <summary>Random damage anywhere: the only ways out are success and an I/O error.</summary>
    [Fact]
    public void Random_damage_gives_an_error_or_works()
    {
        string sound = Make();
        byte[] bytes = File.ReadAllBytes(sound);
        Gen<(int Offset, byte[] Bytes)> damage = Gen.Select(
            Gen.Frequency(
                (2, Gen.Int[0, 127]),
                (1, Gen.Int[0x1000, 0x1010]),
                (1, Gen.Int[0x2000, 0x2040]),
                (2, Gen.Int[0x3000, 0x3010]),
                (4, Gen.Int[0x4000, 0x4200])),
            Gen.Byte.Array[1, 8]);
        damage.Array[1, 4].Sample(
            patches =>
            {
                byte[] damaged = [.. bytes];
                foreach ((int offset, byte[] patch) in patches) patch.CopyTo(damaged, offset);
                string path = _folder[Guid.NewGuid().ToString("N")];
                File.WriteAllBytes(path, damaged);
                Use(path);
                Assert.InRange(new FileInfo(path).Length, 0, 64 << 20);
                File.Delete(path);
            },
            iter: 500);
    }

    private static void Use(string path)
    {
        foreach (bool readOnly in (bool[])[true, false])
        {
            try
            {
                using Qcow2Image image = Qcow2Image.Open(path, readOnly);
                if (image.LengthBytes < DiskBytes) continue;
                Try(() => image.ReadBytes(0, DiskBytes));
                if (readOnly) continue;
                for (int i = 0; i < 8; i++)
                {
                    Try(() => image.WritePattern(i * 300_032, 20_480, 9));
                    Try(() => image.Discard(i * 250_368, 100_352));
                    Try(image.Flush);
                }
            }
            catch (IOException)
            {
            }
        }
    }

    private static void Try(Action action)
    {
        try
        {
            action();
        }
        catch (IOException)
        {
        }
    }

    /// <summary>Header, refcount table, refcount block, L1 table, L2 table, data: a cluster each, from 0 on.</summary>
    private string Make()
    {
        string path = _folder[Guid.NewGuid().ToString("N")];
        Qcow2Image.Create(path, DiskBytes, clusterBytes: ClusterBytes);
        using (Qcow2Image image = Qcow2Image.Open(path, readOnly: false)) image.WritePattern(0, 65536, 1);
        byte[] bytes = File.ReadAllBytes(path);
        Assert.Equal(0x8000_0000_0000_4000UL, BinaryPrimitives.ReadUInt64BigEndian(bytes.AsSpan(0x3000)));
        Assert.Equal(0x8000_0000_0000_5000UL, BinaryPrimitives.ReadUInt64BigEndian(bytes.AsSpan(0x4000)));
        return path;
    }

    private static void Patch(string path, long offset, ReadOnlySpan<byte> bytes)
    {
        using FileStream stream = new(path, FileMode.Open);
        stream.Position = offset;
        stream.Write(bytes);
    }
}
