using System.Buffers.Binary;

namespace VirtioBlk.Store.Tests;

/// <summary>Our check and <c>qemu-img check</c> say the same of good, leaking and damaged images.</summary>
public sealed class Qcow2CheckTests : IDisposable
{
    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    public static TheoryData<string> Kinds =>
    [
        "", "cluster_size=4k", "cluster_size=2M", "refcount_bits=1", "refcount_bits=8", "refcount_bits=64", "compat=0.10",
        "lazy_refcounts=on", "preallocation=metadata",
    ];

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Images_of_qemu_are_clean(string options)
    {
        Make(options);
        AssertAgree(clean: true);
    }

    [Fact]
    public void Compressed_clusters_snapshots_and_bitmaps_are_counted()
    {
        Make("");
        Qemu.Img("convert", "-c", "-f", "qcow2", "-O", "qcow2", _folder["image"], _folder["compressed"]);
        File.Move(_folder["compressed"], _folder["image"], overwrite: true);
        AssertAgree(clean: true);
        Qemu.Img("snapshot", "-c", "one", _folder["image"]);
        Qemu.Io(_folder["image"], "qcow2", "write -P 9 0 1M");
        Qemu.Img("bitmap", "--add", "-f", "qcow2", _folder["image"], "changed");
        Qemu.Io(_folder["image"], "qcow2", "write -P 8 2M 1M");
        AssertAgree(clean: true);
    }

    [Theory]
    [InlineData(4096)]
    [InlineData(65536)]
    public void Our_own_images_are_clean(int clusterBytes)
    {
        Qcow2Image.Create(_folder["image"], 64 << 20, clusterBytes: clusterBytes);
        using (Qcow2Image image = Qcow2Image.Open(_folder["image"], readOnly: false))
        {
            image.WritePattern(12345 * 512, 5 << 20, 7);
            image.Discard(1 << 20, 1 << 20);
        }

        AssertAgree(clean: true);
    }

    [Theory]
    [InlineData("")]
    [InlineData("cluster_size=4k")]
    [InlineData("refcount_bits=8")]
    public void Damage_is_found_where_qemu_finds_it(string options)
    {
        Make(options);
        byte[] good = File.ReadAllBytes(_folder["image"]);
        int found = 0;
        foreach ((string name, Action<Image> damage) in Damages)
        {
            Image image = new([.. good]);
            damage(image);
            File.WriteAllBytes(_folder["image"], image.Bytes);
            if (AssertAgree(clean: false, name)) found++;
        }

        Assert.True(found >= Damages.Length - 1, $"only {found} of {Damages.Length} were damage");
    }

    [Fact]
    public void Random_damage_to_metadata_is_judged_as_qemu_judges_it()
    {
        Make("cluster_size=4k");
        byte[] good = File.ReadAllBytes(_folder["image"]);
        Random random = new(5);
        for (int i = 0; i < 40; i++)
        {
            Image image = new([.. good]);
            // An entry of the L2 or refcount tables; the header and what makes QEMU refuse to open is BadImageTests' business.
            long at = random.Next(2) == 0 ? image.L2 + (random.Next(512) * 8) : image.RefBlock + (random.Next(64) * 2);
            image.Bytes[at + random.Next(at < image.L2 ? 2 : 8)] ^= (byte)(1 << random.Next(8));
            File.WriteAllBytes(_folder["image"], image.Bytes);
            AssertAgree(clean: false, $"case {i}, byte 0x{at:x}");
        }
    }

    [Fact]
    public void A_hostile_image_takes_no_time()
    {
        Make("");
        Image image = new(File.ReadAllBytes(_folder["image"]));
        // All of the L1 table points at one L2 table, and all of the refcount table at one block.
        for (int i = 1; i < 8000; i++) image.Write64(image.L1 + (i * 8), image.Read64(image.L1));
        for (int i = 1; i < 8000; i++) image.Write64(image.RefTable + (i * 8), image.Read64(image.RefTable));
        BinaryPrimitives.WriteInt32BigEndian(image.Bytes.AsSpan(36), 8000);
        File.WriteAllBytes(_folder["image"], image.Bytes);
        using (FileStream file = new(_folder["image"], FileMode.Open)) file.SetLength(1L << 40);
        Exception? refused = Record.Exception(() => Assert.True(Qcow2Check.Run(_folder["image"]).Corruptions > 0));
        Assert.True(refused is null or DiskException, refused?.ToString());
    }

    private static (string, Action<Image>)[] Damages =>
    [
        ("a leak: a data cluster that nobody uses", image => image.Write64(image.FirstData, 0)),
        ("a cluster used twice", image => image.Write64(image.FirstData, image.Read64(image.FirstData + 8))),
        ("a cluster beyond the end", image => image.Write64(image.FirstData, (1UL << 63) | (1UL << 40))),
        ("an unaligned cluster", image => image.Write64(image.FirstData, image.Read64(image.FirstData) + 512)),
        ("a reserved bit", image => image.Write64(image.FirstData, image.Read64(image.FirstData) | 2)),
        ("shared, says the entry, and is not", image => image.Write64(image.FirstData, image.Read64(image.FirstData) & ~(1UL << 63))),
        ("an L2 table shared, says the entry, and is not", image => image.Write64(image.L1, image.Read64(image.L1) & ~(1UL << 63))),
        ("an L2 table beyond the end", image => image.Write64(image.L1, (1UL << 63) | (1UL << 40))),
        ("a used cluster that counts as free", image => image.Bytes.AsSpan((int)image.RefBlock + 8, 4).Clear()),
        ("a refcount too high", image => image.Bytes[image.RefBlock + 8] += 2),
    ];

    private void Make(string options)
    {
        string[] more = options.Length > 0 ? ["-o", options] : [];
        Qemu.Img(["create", "-f", "qcow2", .. more, _folder["image"], "8M"]);
        Qemu.Io(_folder["image"], "qcow2", "write -P 1 0 2M", "write -z 4M 64k", "write -P 2 6M 100k", "discard 1M 64k");
    }

    /// <returns>Whether there is something wrong with it.</returns>
    private bool AssertAgree(bool clean, string what = "")
    {
        int theirs = Qemu.Check(_folder["image"], out string output);
        Assert.True(theirs is 0 or 2 or 3 || !clean, output);
        DiskCheckReport? report = null;
        Exception? refused = Record.Exception(() => report = Qcow2Check.Run(_folder["image"]));
        Assert.True(refused is null or DiskException, $"{what}: {refused}");
        int ours = report is null ? 1 : report.Corruptions > 0 ? 2 : report.Leaks > 0 ? 3 : 0;
        Assert.True(ours == theirs, $"{what}: we say {ours} ({refused?.Message ?? string.Join("; ", report!.Problems)}), QEMU {theirs}: {output}");
        if (clean) Assert.True(ours == 0, output);
        return ours != 0;
    }

    /// <summary>An image in memory, and where things are in it.</summary>
    private sealed class Image(byte[] bytes)
    {
        public byte[] Bytes { get; } = bytes;

        public long L1 => (long)Read64(40);

        public long RefTable => (long)Read64(48);

        public long RefBlock => (long)Read64(RefTable);

        public long L2 => (long)(Read64(L1) & 0x00FF_FFFF_FFFF_FE00);

        public long FirstData => L2;

        public ulong Read64(long at) => BinaryPrimitives.ReadUInt64BigEndian(Bytes.AsSpan((int)at));

        public void Write64(long at, ulong value) => BinaryPrimitives.WriteUInt64BigEndian(Bytes.AsSpan((int)at), value);
    }
}
