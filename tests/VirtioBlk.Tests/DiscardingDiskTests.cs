using System.Runtime.InteropServices;
using Kvm.Interop;
using TestKit.Disks;
using Xunit;

namespace VirtioBlk.Tests;

/// <summary>The disk whose writes nobody sees.</summary>
public sealed unsafe class DiscardingDiskTests
{
    private const int DiskBytes = 4 << 20;

    /// <summary>Cuts an array into vectors at random, also inside sectors.</summary>
    private static void WithVectors(byte[] bytes, Random random, Action<IoVec[]> use)
    {
        GCHandle pin = GCHandle.Alloc(bytes, GCHandleType.Pinned);
        List<IoVec> vectors = [];
        for (int at = 0; at < bytes.Length;)
        {
            int take = random.Next(3) == 0 ? bytes.Length - at : random.Next(1, bytes.Length - at + 1);
            vectors.Add(new IoVec(pin.AddrOfPinnedObject() + at, (nuint)take));
            at += take;
        }

        use([.. vectors]);
        pin.Free();
    }

    [Fact]
    public void It_behaves_as_a_disk_and_the_one_below_never_changes()
    {
        Random random = new(88);
        MemoryDisk below = new(DiskBytes);
        random.NextBytes(below.Bytes);
        byte[] original = [.. below.Bytes], model = [.. below.Bytes];
        using DiscardingDisk disk = new(below, DiskBytes + (1 << 20));
        Assert.Equal((DiskBytes, false), (disk.LengthBytes, disk.IsReadOnly));
        for (int i = 0; i < 3000; i++)
        {
            int sector = random.Next((DiskBytes / 512) - 16), length = 512 * random.Next(1, 17), offset = 512 * sector;
            byte[] bytes = new byte[length];
            switch (random.Next(5))
            {
                case 0:
                    random.NextBytes(bytes);
                    bytes.CopyTo(model, offset);
                    WithVectors(bytes, random, vectors => disk.Write(vectors, offset));
                    break;
                case 1:
                    Array.Clear(model, offset, length);
                    disk.WriteZeroes(offset, length, mayUnmap: random.Next(2) == 0);
                    break;
                case 2:
                    disk.Discard(offset, length);
                    disk.Flush();
                    break;
                default:
                    WithVectors(bytes, random, vectors => disk.Read(vectors, offset));
                    Assert.Equal(model[offset..(offset + length)], bytes);
                    break;
            }
        }

        Assert.Equal(original, below.Bytes);
        Assert.Equal((0, 0, 0), (below.Writes, below.Flushes, below.Zeroes.Count));
    }

    [Fact]
    public void It_takes_no_memory_for_what_is_not_written()
    {
        MemoryDisk below = new(512);
        using DiscardingDisk disk = new(new Stretched(below, 1L << 40), 16384);
        byte[] bytes = new byte[512];
        bytes[0] = 7;
        WithVectors(bytes, new Random(1), vectors => disk.Write(vectors, (1L << 40) - 512));
        bytes[0] = 0;
        WithVectors(bytes, new Random(1), vectors => disk.Read(vectors, (1L << 40) - 512));
        Assert.Equal(7, bytes[0]);
        disk.WriteZeroes(1L << 39, 16 << 20, mayUnmap: false);
        // A bitmap of what is zeros now would take more than it may.
        Assert.Throws<IOException>(() => disk.WriteZeroes(0, 1L << 39, mayUnmap: false));
    }

    [Fact]
    public void It_takes_no_more_memory_than_it_may()
    {
        const int budget = 1 << 20, piece = 64 << 10, books = 4096;
        using DiscardingDisk disk = new(new MemoryDisk(DiskBytes), budget + books);
        byte[] bytes = new byte[piece];
        Array.Fill(bytes, (byte)7);
        for (int offset = 0; offset < budget; offset += piece) Write(offset);
        IOException e = Assert.Throws<IOException>(() => Write(budget));
        Assert.Equal("There is no more memory for discarded writes than 1052672 bytes", e.Message);

        // What was written stays, what was refused was never there; zeros give memory back, and it can be used again.
        WithVectors(bytes, new Random(1), vectors => disk.Read(vectors, budget));
        Assert.All(bytes, b => Assert.Equal(0, b));
        WithVectors(bytes, new Random(1), vectors => disk.Read(vectors, budget - piece));
        Assert.All(bytes, b => Assert.Equal(7, b));
        disk.WriteZeroes(0, piece, mayUnmap: false);
        Write(budget);

        void Write(long offset) => WithVectors(bytes, new Random(1), vectors => disk.Write(vectors, offset));
    }

    [Fact]
    public void It_owns_the_disk_below()
    {
        MemoryDisk below = new(512);
        new DiscardingDisk(below, 0).Dispose();
        Assert.True(below.IsDisposed);
    }

    /// <summary>A disk of zeros as long as wanted.</summary>
    private sealed class Stretched(MemoryDisk below, long lengthBytes) : IBlockBackend
    {
        public long LengthBytes => lengthBytes;

        public bool IsReadOnly => true;

        public void Read(ReadOnlySpan<IoVec> vectors, long offset) => below.Read(vectors, 0);

        public void Write(ReadOnlySpan<IoVec> vectors, long offset) => throw new IOException("Not to be written");

        public void Flush() { }

        public void Discard(long offset, long length) { }

        public void WriteZeroes(long offset, long length, bool mayUnmap) { }

        public void Dispose() => below.Dispose();
    }
}
