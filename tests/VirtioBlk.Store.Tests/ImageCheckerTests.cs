namespace VirtioBlk.Store.Tests;

/// <summary>The own checker says what qemu-img says, of sound images and of damaged ones.</summary>
public sealed class ImageCheckerTests : IDisposable
{
    private const int DiskBytes = 2 << 20;

    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(512, 1)]
    [InlineData(4096, 2)]
    [InlineData(65536, 3)]
    public void Agrees_with_qemu(int clusterBytes, int seed)
    {
        string path = _folder["a"];
        Qcow2Image.Create(path, DiskBytes, clusterBytes: clusterBytes);
        using (Qcow2Image image = Qcow2Image.Open(path, readOnly: false))
        {
            CrashWorkload workload = new(DiskBytes, clusterBytes, seed);
            for (int i = 0; i < 60; i++) workload.Next(image);
        }

        byte[] sound = File.ReadAllBytes(path);
        Assert.Equal(0, ImageChecker.Check(sound).ExitStatus);
        List<int> entries = [];
        List<int> metadata = FindMetadata(sound, clusterBytes, entries);
        Random random = new(seed);
        Dictionary<int, int> seen = [];
        for (int i = 0; i < 60; i++)
        {
            byte[] damaged = [.. sound];
            for (int n = random.Next(1, 4); n > 0; n--)
            {
                // Forgotten, a cluster leaks; a place, a flag or a count that is not right does worse.
                int at = metadata[random.Next(metadata.Count)];
                if (i % 2 == 0) damaged.AsSpan(entries[random.Next(entries.Count)], 8).Clear();
                else damaged[at] ^= (byte)(1 << random.Next(8));
            }

            if (random.Next(8) == 0) Array.Resize(ref damaged, damaged.Length - random.Next(1, 4 * clusterBytes));
            File.WriteAllBytes(path, damaged);
            int status = Qemu.Check(path, out string output);
            Assert.True(status == ImageChecker.Check(damaged).ExitStatus,
                $"round {i}: own {ImageChecker.Check(damaged).ExitStatus}, qemu-img {status}: {output}");
            seen[status] = seen.GetValueOrDefault(status) + 1;
        }

        Assert.InRange(seen.GetValueOrDefault(2), 5, 55);
        Assert.InRange(seen.GetValueOrDefault(3), 1, 55);
    }

    /// <summary>Where counts and pointers are that say something; not the header.</summary>
    private static List<int> FindMetadata(byte[] image, int clusterBytes, List<int> entries)
    {
        List<int> found = [];
        int U64(int at) => (int)(System.Buffers.Binary.BinaryPrimitives.ReadUInt64BigEndian(image.AsSpan(at))
            & 0x00FF_FFFF_FFFF_FE00);
        void Add(int table, int bytes)
        {
            for (int i = 0; i < bytes; i++)
                if (image[table + i] != 0) found.Add(table + i);
        }

        int refTable = U64(48);
        Add(refTable, 8);
        for (int i = 0; i < 8; i++)
            if (U64(refTable + i * 8) is var block and > 0) Add(block, clusterBytes);
        int l1 = U64(40);
        for (int i = 0; U64(l1 + i * 8) is var l2 and > 0 && i < 8; i++)
        {
            Add(l1 + i * 8, 8);
            Add(l2, clusterBytes);
            for (int at = l2; at < l2 + clusterBytes; at += 8)
                if (U64(at) != 0) entries.Add(at);
        }

        return found;
    }
}
