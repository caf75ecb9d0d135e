namespace VirtioBlk.Store.Tests;

public sealed class ChainCopyTests : IDisposable
{
    private const int DiskBytes = 32 << 20;

    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(DiskFormat.Raw)]
    [InlineData(DiskFormat.Qcow2)]
    public void A_chain_becomes_one_file_with_holes(DiskFormat format)
    {
        byte[] content = MakeChain();
        if (format == DiskFormat.Raw) RawDisk.Create(_folder["flat"], DiskBytes);
        else Qcow2Image.Create(_folder["flat"], DiskBytes);
        using (IDiskLayer chain = DiskChain.Open(_folder["top"], DiskFormat.Qcow2, readOnly: true))
        using (IDiskLayer flat = DiskChain.Open(_folder["flat"], format, readOnly: false))
            Copy(new ChainCopy(chain, flat));

        Assert.True(content.AsSpan().SequenceEqual(Qemu.ReadAll(_folder["flat"], format.Name(), _folder)));
        if (format == DiskFormat.Qcow2) Qemu.AssertClean(_folder["flat"]);
        Assert.InRange(DiskIo.SpaceOf(_folder["flat"]), 1, DiskBytes / 2);
        Assert.Contains("Images are identical", Qemu.Img("compare", "-f", "qcow2", "-F", format.Name(), _folder["top"], _folder["flat"]));
    }

    [Fact]
    public void What_is_above_a_layer_goes_on_top_of_it_and_reads_the_same()
    {
        byte[] content = MakeChain();
        Qcow2Image.Create(_folder["kept"], DiskBytes, _folder["base"], DiskFormat.Raw);
        using (IDiskLayer chain = DiskChain.Open(_folder["top"], DiskFormat.Qcow2, readOnly: true))
        using (IDiskLayer kept = DiskChain.Open(_folder["kept"], DiskFormat.Qcow2, readOnly: false))
        {
            IBlockBackend stop = ((Qcow2Image)((Qcow2Image)chain).Backing!).Backing!;
            long copied = Copy(new ChainCopy(chain, kept, stop));
            Assert.True(copied < DiskBytes / 3, $"{copied} bytes: the base was copied, too");
        }

        Qemu.AssertClean(_folder["kept"]);
        Assert.True(content.AsSpan().SequenceEqual(Qemu.ReadAll(_folder["kept"], "qcow2", _folder)));
    }

    [Fact]
    public void Giving_up_never_waits_for_much_to_be_synced()
    {
        const int bytes = 3 * ChainCopy.UnsyncedBytes;
        File.WriteAllBytes(_folder["from"], DiskIo.RandomBytes(bytes, 1));
        Qcow2Image.Create(_folder["into"], bytes);
        using RawDisk from = RawDisk.Open(_folder["from"], readOnly: true);
        long unsynced = 0, most = 0;
        using RecordingFile file = new(_folder["into"], File.ReadAllBytes(_folder["into"]))
        {
            Happened = happened => most = Math.Max(most, unsynced = happened.Bytes is null ? 0 : unsynced + happened.Bytes.Length),
        };
        using Qcow2Image into = Qcow2Image.Open(file, readOnly: false, null);
        Assert.Equal(bytes, Copy(new ChainCopy(from, into)));
        Assert.InRange(most, ChainCopy.StepBytes, ChainCopy.UnsyncedBytes + (1 << 20)); // and some metadata
    }

    private static long Copy(ChainCopy copy)
    {
        using (copy)
        {
            while (copy.Step()) { }
            Assert.Equal(copy.TotalBytes, copy.DoneBytes);
            return copy.CopiedBytes;
        }
    }

    /// <summary>Raw base, shorter middle, top; data, zeros over data, holes, and zeros written as data.</summary>
    private byte[] MakeChain()
    {
        File.WriteAllBytes(_folder["base"], new byte[DiskBytes]);
        using (IDiskLayer disk = RawDisk.Open(_folder["base"], readOnly: false))
        {
            disk.WriteBytes(0, DiskIo.RandomBytes(4 << 20, 1));
            disk.WriteBytes(20 << 20, DiskIo.RandomBytes(4 << 20, 2));
        }

        Qcow2Image.Create(_folder["middle"], DiskBytes, "base", DiskFormat.Raw, 4096);
        using (IDiskLayer disk = DiskChain.Open(_folder["middle"], DiskFormat.Qcow2, readOnly: false))
        {
            disk.WriteBytes((2 << 20) + 512, DiskIo.RandomBytes(1 << 20, 3));
            disk.WriteZeroes(20 << 20, 1 << 20, mayUnmap: true);
            disk.WriteBytes(30 << 20, new byte[1 << 20]);
        }

        Qcow2Image.Create(_folder["top"], DiskBytes, "middle", DiskFormat.Qcow2);
        using (IDiskLayer disk = DiskChain.Open(_folder["top"], DiskFormat.Qcow2, readOnly: false))
        {
            disk.WriteBytes(10 << 20, DiskIo.RandomBytes(1 << 20, 4));
            disk.WriteZeroes(1 << 20, 128 << 10, mayUnmap: false);
        }

        using IDiskLayer chain = DiskChain.Open(_folder["top"], DiskFormat.Qcow2, readOnly: true);
        return chain.ReadAll();
    }
}
