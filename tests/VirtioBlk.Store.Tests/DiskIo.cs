using Kvm.Interop;

namespace VirtioBlk.Store.Tests;

/// <summary>Byte arrays in and out of a backend, through vector lists cut anywhere.</summary>
internal static unsafe class DiskIo
{
    public static byte[] ReadBytes(this IBlockBackend disk, long offset, long length, int cuts = 1)
    {
        byte[] bytes = new byte[length];
        bytes.AsSpan().Fill(0xEE);
        fixed (byte* at = bytes) disk.Read(Cut(at, length, cuts, offset), offset);
        return bytes;
    }

    public static byte[] ReadAll(this IBlockBackend disk) => disk.ReadBytes(0, disk.LengthBytes);

    public static void WriteBytes(this IBlockBackend disk, long offset, byte[] bytes, int cuts = 1)
    {
        fixed (byte* at = bytes) disk.Write(Cut(at, bytes.Length, cuts, offset), offset);
    }

    public static void WritePattern(this IBlockBackend disk, long offset, int length, byte pattern) =>
        disk.WriteBytes(offset, Pattern(length, pattern));

    public static byte[] Pattern(int length, byte pattern)
    {
        byte[] bytes = new byte[length];
        bytes.AsSpan().Fill(pattern);
        return bytes;
    }

    public static byte[] RandomBytes(int length, int seed)
    {
        byte[] bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    /// <summary>Space the file takes on the host.</summary>
    public static long SpaceOf(string path)
    {
        using SafeFd fd = new(Libc.open(path, Libc.O_RDONLY, 0));
        StatX status;
        Assert.Equal(0, Libc.statx(fd.Fd, "", Libc.AT_EMPTY_PATH, Libc.STATX_BASIC_STATS, &status));
        return (long)status.Blocks * 512;
    }

    private static IoVec[] Cut(byte* at, long length, int cuts, long seed)
    {
        Random random = new((int)seed ^ cuts);
        long[] ends = [.. Enumerable.Range(1, cuts - 1).Select(_ => random.NextInt64(length + 1)).Order(), length];
        IoVec[] vectors = new IoVec[ends.Length];
        long start = 0;
        for (int i = 0; i < ends.Length; i++)
        {
            vectors[i] = new IoVec((nint)(at + start), (nuint)(ends[i] - start));
            start = ends[i];
        }

        return vectors;
    }
}
