using CsCheck;

namespace VirtioBlk.Store.Tests;

/// <summary>Random operations against a byte array, then against QEMU.</summary>
public sealed class Qcow2ModelTests
{
    private const int DiskBytes = (3 << 20) + 512 * 7;

    private enum Verb { Write, Read, Discard, Zero, ZeroUnmap, Flush, Reopen }

    private sealed record Op(Verb Verb, int Offset, int Length, int Seed);

    private static readonly Gen<Op> s_op =
        from verb in Gen.Frequency(
            (8, Gen.Const(Verb.Write)),
            (3, Gen.Const(Verb.Read)),
            (2, Gen.Const(Verb.Discard)),
            (2, Gen.Const(Verb.Zero)),
            (2, Gen.Const(Verb.ZeroUnmap)),
            (1, Gen.Const(Verb.Flush)),
            (1, Gen.Const(Verb.Reopen)))
        from first in Gen.Int[0, DiskBytes / 512 - 1]
        from size in Gen.OneOf(Gen.Int[1, 16], Gen.Int[1, 600], Gen.Const(DiskBytes / 512))
        from seed in Gen.Int[0, 1 << 20]
        select new Op(verb, first * 512, Math.Min(size, DiskBytes / 512 - first) * 512, seed);

    [Theory]
    [InlineData(512, null, 0)]
    [InlineData(4096, null, 0)]
    [InlineData(65536, null, 0)]
    [InlineData(2 << 20, null, 0)]
    [InlineData(512, DiskFormat.Raw, DiskBytes)]
    [InlineData(65536, DiskFormat.Raw, 1 << 20)]
    [InlineData(4096, DiskFormat.Qcow2, (1 << 20) + 512)]
    [InlineData(65536, DiskFormat.Qcow2, DiskBytes + (1 << 20))]
    public void Reads_what_was_written(int clusterBytes, DiskFormat? backingFormat, int backingBytes) =>
        s_op.Array[1, 60].Sample(
            ops => Run(ops, clusterBytes, backingFormat, backingBytes),
            iter: 10,
            print: ops => string.Join("\n", ops.Select(op => op.ToString())));

    private static void Run(Op[] ops, int clusterBytes, DiskFormat? backingFormat, int backingBytes)
    {
        using TempFolder folder = new();
        byte[] model = new byte[DiskBytes];
        if (backingFormat is not null)
        {
            byte[] below = DiskIo.RandomBytes(backingBytes, 1);
            File.WriteAllBytes(folder["base.raw"], below);
            if (backingFormat == DiskFormat.Qcow2)
                Qemu.Img("convert", "-f", "raw", "-O", "qcow2", folder["base.raw"], folder["base.qcow2"]);
            below.AsSpan(0, Math.Min(backingBytes, DiskBytes)).CopyTo(model);
        }

        string path = folder["top.qcow2"];
        string? backingPath = backingFormat is { } format ? $"base.{format.Name()}" : null;
        Qcow2Image.Create(path, DiskBytes, backingPath, backingFormat, clusterBytes);
        IDiskLayer disk = DiskChain.Open(path, DiskFormat.Qcow2, readOnly: false);
        try
        {
            foreach (Op op in ops) Do(op, path, ref disk, model);
            Assert.True(model.AsSpan().SequenceEqual(disk.ReadAll()));
        }
        finally
        {
            disk.Dispose();
        }

        Qemu.AssertClean(path);
        Assert.True(model.AsSpan().SequenceEqual(Qemu.ReadAll(path, "qcow2", folder)));
        if (backingFormat == DiskFormat.Raw)
            Assert.True(
                DiskIo.RandomBytes(backingBytes, 1).AsSpan().SequenceEqual(File.ReadAllBytes(folder["base.raw"])));
    }

    private static void Do(Op op, string path, ref IDiskLayer disk, byte[] model)
    {
        Span<byte> part = model.AsSpan(op.Offset, op.Length);
        switch (op.Verb)
        {
            case Verb.Write:
                byte[] bytes = DiskIo.RandomBytes(op.Length, op.Seed);
                disk.WriteBytes(op.Offset, bytes, cuts: op.Seed % 90 + 1);
                bytes.CopyTo(part);
                break;
            case Verb.Read:
                Assert.True(part.SequenceEqual(disk.ReadBytes(op.Offset, op.Length, cuts: op.Seed % 90 + 1)));
                break;
            case Verb.Discard:
                disk.Discard(op.Offset, op.Length);
                // Old content or zeros, sector by sector.
                byte[] left = disk.ReadBytes(op.Offset, op.Length);
                for (int at = 0; at < op.Length; at += 512)
                {
                    ReadOnlySpan<byte> sector = left.AsSpan(at, 512);
                    Assert.True(sector.SequenceEqual(part.Slice(at, 512)) || !sector.ContainsAnyExcept((byte)0));
                }

                left.CopyTo(part);
                break;
            case Verb.Zero:
            case Verb.ZeroUnmap:
                disk.WriteZeroes(op.Offset, op.Length, mayUnmap: op.Verb == Verb.ZeroUnmap);
                part.Clear();
                break;
            case Verb.Flush:
                disk.Flush();
                Qemu.AssertClean(path);
                break;
            case Verb.Reopen:
                disk.Dispose();
                disk = DiskChain.Open(path, DiskFormat.Qcow2, readOnly: false);
                break;
        }
    }
}
