using System.Diagnostics;

namespace VirtioBlk.Store.Tests;

/// <summary>
/// Good images of every kind, damaged at random by seed: the only ways out are success and a <see
/// cref="DiskException"/> of one line, soon, and without taking memory the image only claims to need.
/// </summary>
public sealed class FuzzTests : IDisposable
{
    private const int DiskBytes = 1 << 20;
    private const int Rounds = 80;
    private const long MaxAllocatedBytes = 64 << 20;

    // Each takes milliseconds; a table walked a million times takes minutes.
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(20);

    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("plain", "cluster_size=4k")]
    [InlineData("plain", "cluster_size=512")]
    [InlineData("plain", "cluster_size=64k,lazy_refcounts=on")]
    [InlineData("plain", "extended_l2=on,cluster_size=16k")]
    [InlineData("plain", "compat=0.10,cluster_size=4k")]
    [InlineData("plain", "refcount_bits=1,cluster_size=4k")]
    [InlineData("compressed", "compression_type=zlib,cluster_size=4k")]
    [InlineData("compressed", "compression_type=zstd,cluster_size=64k")]
    [InlineData("snapshot", "cluster_size=4k")]
    [InlineData("backing", "cluster_size=4k")]
    public void Damaged_at_random(string kind, string options)
    {
        byte[] sound = Make(kind, options);
        int[] used = [.. Enumerable.Range(0, sound.Length).Where(i => i < 512 || IsMetadata(sound, i))];
        for (int seed = 0; seed < Rounds; seed++)
        {
            Random random = new(seed);
            byte[] damaged = [.. sound];
            for (int n = random.Next(1, 6); n > 0; n--)
            {
                int at = random.Next(3) switch
                {
                    0 => random.Next(120),
                    1 => random.Next(sound.Length),
                    _ => used[random.Next(used.Length)],
                };
                damaged[at] = (byte)(random.Next(4) switch
                {
                    0 => 0,
                    1 => 0xFF,
                    2 => damaged[at] ^ 1 << random.Next(8),
                    _ => random.Next(256),
                });
            }

            if (random.Next(10) == 0) Array.Resize(ref damaged, random.Next(damaged.Length));
            string path = _folder["damaged"];
            File.WriteAllBytes(path, damaged);
            long start = Stopwatch.GetTimestamp();
            long allocated = GC.GetAllocatedBytesForCurrentThread();
            int calls = Use(path);
            allocated = GC.GetAllocatedBytesForCurrentThread() - allocated - calls * (long)DiskBytes;
            string what = $"{kind}, {options}, seed {seed}";
            Assert.True(Stopwatch.GetElapsedTime(start) < s_limit, $"{what}: took {Stopwatch.GetElapsedTime(start)}");
            Assert.True(allocated < MaxAllocatedBytes, $"{what}: took {allocated} bytes of memory");
            Assert.True(DiskIo.SpaceOf(path) < 64 << 20, $"{what}: took {DiskIo.SpaceOf(path)} bytes of disk");
        }
    }

    /// <summary>Everything a user can do with an image.</summary>
    private static int Use(string path)
    {
        int calls = 1;
        foreach (bool readOnly in (bool[])[true, false])
        {
            Try(() =>
            {
                using Qcow2Image image = Qcow2Image.Open(path, readOnly);
                int length = (int)Math.Min(image.LengthBytes, DiskBytes);
                calls += 3;
                Try(() => image.ReadBytes(0, length));
                Try(() => image.ReadBytes(image.LengthBytes - 512, 512));
                Try(() => _ = image.AllocatedBytes);
                if (readOnly) return;
                Try(() => image.WritePattern(0, length, 9));
                for (int at = 0; at + 65536 < length; at += 101 * 512)
                {
                    Try(() => image.WritePattern(at, 20_480, 9));
                    Try(() => image.Discard(at, 65536));
                    Try(() => image.WriteZeroes(at + 512, 30_720, mayUnmap: false));
                    Try(image.Flush);
                }

                Try(() => image.SetBacking(null, "other", DiskFormat.Raw));
            });
        }

        Try(() => DiskChain.Open(path, DiskFormat.Qcow2, readOnly: true).Dispose());
        return calls;
    }

    private static void Try(Action action)
    {
        try
        {
            action();
        }
        catch (DiskException e)
        {
            Assert.DoesNotContain('\n', e.Message);
        }
    }

    /// <summary>Counts and entries: there the image holds few bytes that are not zero, and no pattern of ours.</summary>
    private static bool IsMetadata(byte[] image, int at)
    {
        ReadOnlySpan<byte> around = image.AsSpan(at & ~63, Math.Min(64, image.Length - (at & ~63)));
        return around.ContainsAnyExcept(around[0]) && around.Count((byte)0) > 16;
    }

    private byte[] Make(string kind, string options)
    {
        string path = _folder["sound"];
        if (kind == "compressed")
        {
            byte[] content = DiskIo.RandomBytes(DiskBytes, 1);
            for (int i = 0; i < DiskBytes; i++) content[i] = (byte)(i / 512 % 7 == 0 ? content[i] : i / 900);
            File.WriteAllBytes(_folder["raw"], content);
            Qemu.Img("convert", "-c", "-f", "raw", "-O", "qcow2", "-o", options, _folder["raw"], path);
            return File.ReadAllBytes(path);
        }

        File.WriteAllBytes(_folder["base"], new byte[DiskBytes]);
        string[] backing = kind == "backing" ? ["-b", "base", "-F", "raw"] : [];
        Qemu.Img(["create", "-f", "qcow2", "-o", options, .. backing, path, $"{DiskBytes}"]);
        Qemu.Io(path, "qcow2", "write -P 17 0 70k", "write -P 18 200k 300k", "write -z 600k 64k", "discard 256k 64k");
        if (kind == "snapshot")
        {
            Qemu.Img("snapshot", "-c", "tag", path);
            Qemu.Io(path, "qcow2", "write -P 19 100k 200k");
        }

        return File.ReadAllBytes(path);
    }
}
