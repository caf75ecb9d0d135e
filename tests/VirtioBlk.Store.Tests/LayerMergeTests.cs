namespace VirtioBlk.Store.Tests;

public sealed class LayerMergeTests : IDisposable
{
    private const int DiskBytes = 16 << 20;

    private readonly TempFolder _folder = new();
    private readonly byte[] _model = new byte[DiskBytes];

    public void Dispose() => _folder.Dispose();

    public static TheoryData<DiskFormat, int, int> Shapes => new()
    {
        { DiskFormat.Raw, 65536, 65536 },
        { DiskFormat.Qcow2, 65536, 65536 },
        { DiskFormat.Qcow2, 1 << 20, 4096 },
        { DiskFormat.Qcow2, 4096, 1 << 20 },
    };

    [Theory]
    [MemberData(nameof(Shapes))]
    public void The_disk_stays_the_same(DiskFormat baseFormat, int baseCluster, int middleCluster)
    {
        MakeChain(baseFormat, baseCluster, middleCluster);
        using Qcow2Image top = OpenTop();
        Random random = new(3);
        using (LayerMerge merge = new(top))
        {
            while (merge.Step())
            {
                Write(top, random);
                if (random.Next(3) == 0) top.Flush();
                AssertReads(top);
            }

            Assert.Equal(DiskBytes, merge.DoneBytes);
            using Qcow2Image middle = merge.Complete();
            Assert.Equal(_folder["middle"], middle.Path);
            Assert.Null(middle.Backing);
            Assert.True(middle.IsReadOnly);
        }

        File.Delete(_folder["middle"]);
        Assert.Equal("base", top.BackingName);
        AssertReads(top);
        Write(top, random);
        top.Flush();
        Qemu.AssertClean(_folder["top"]);
        if (baseFormat == DiskFormat.Qcow2) Qemu.AssertClean(_folder["base"]);
        AssertReads(top);
        Assert.True(_model.AsSpan().SequenceEqual(Qemu.ReadAll(_folder["top"], "qcow2", _folder)));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(5)]
    public void A_merge_given_up_or_cut_off_can_be_started_over(int steps)
    {
        MakeChain(DiskFormat.Qcow2, 65536, 65536);
        using (Qcow2Image top = OpenTop())
        {
            using (LayerMerge merge = new(top))
            {
                for (int i = 0; i < steps; i++) merge.Step();
            }

            AssertReads(top);
            // The base may be shared again: a fork may follow.
            using Qcow2Image reader = Qcow2Image.Open(_folder["base"], readOnly: true);
        }

        using (Qcow2Image top = OpenTop())
        {
            AssertReads(top);
            using LayerMerge merge = new(top);
            while (merge.Step())
            {
            }

            merge.Complete().Dispose();
        }

        File.Delete(_folder["middle"]);
        using IDiskLayer again = DiskChain.Open(_folder["top"], DiskFormat.Qcow2, readOnly: false);
        AssertReads(again);
    }

    [Fact]
    public void The_guest_goes_on_while_another_thread_merges()
    {
        MakeChain(DiskFormat.Qcow2, 4096, 4096);
        using Qcow2Image top = OpenTop();
        Random random = new(4);
        Exception? failure = null;
        Thread merger = new(() => failure = Record.Exception(() =>
        {
            using LayerMerge merge = new(top);
            while (merge.Step())
            {
            }

            merge.Complete().Dispose();
            File.Delete(_folder["middle"]);
        }));
        merger.Start();
        do
        {
            Write(top, random);
            int offset = random.Next(DiskBytes / 512 - 256) * 512;
            Assert.True(top.ReadBytes(offset, 131072).AsSpan().SequenceEqual(_model.AsSpan(offset, 131072)));
            if (random.Next(20) == 0) top.Flush();
        }
        while (merger.IsAlive);
        merger.Join();
        Assert.Null(failure);
        AssertReads(top);
        top.Flush();
        Qemu.AssertClean(_folder["base"]);
        Qemu.AssertClean(_folder["top"]);
        Assert.True(_model.AsSpan().SequenceEqual(Qemu.ReadAll(_folder["top"], "qcow2", _folder)));
    }

    [Fact]
    public void A_chain_of_many_layers_shrinks_to_two()
    {
        File.WriteAllBytes(_folder["0"], new byte[DiskBytes]);
        IDiskLayer below = RawDisk.Open(_folder["0"], readOnly: false);
        Random random = new(8);
        Qcow2Image? top = null;
        for (int layer = 1; layer <= 5; layer++)
        {
            Qcow2Image.Create(_folder[$"{layer}"], DiskBytes, $"{layer - 1}",
                layer == 1 ? DiskFormat.Raw : DiskFormat.Qcow2);
            below.Freeze();
            top = Qcow2Image.Open(_folder[$"{layer}"], readOnly: false, below);
            below = top;
            for (int i = 0; i < 10; i++) Write(top, random);
        }

        for (int layer = 4; layer >= 1; layer--)
        {
            using LayerMerge merge = new(top!);
            while (merge.Step()) Write(top!, random);
            using Qcow2Image middle = merge.Complete();
            Assert.Equal(_folder[$"{layer}"], middle.Path);
            File.Delete(middle.Path);
        }

        AssertReads(top!);
        top!.Dispose();
        using IDiskLayer again = DiskChain.Open(_folder["5"], DiskFormat.Qcow2, readOnly: true);
        AssertReads(again);
    }

    [Fact]
    public void A_base_that_somebody_else_reads_is_left_alone()
    {
        MakeChain(DiskFormat.Raw, 0, 65536);
        byte[] before = File.ReadAllBytes(_folder["base"]);
        using Qcow2Image top = OpenTop();
        using (RawDisk.Open(_folder["base"], readOnly: true))
            Assert.Throws<DiskInUseException>(() => new LayerMerge(top));
        Assert.Equal(before, File.ReadAllBytes(_folder["base"]));
        new LayerMerge(top).Dispose();
        using RawDisk reader = RawDisk.Open(_folder["base"], readOnly: true);
    }

    [Fact]
    public void Only_three_layers_of_which_the_middle_is_frozen_can_be_merged()
    {
        MakeChain(DiskFormat.Raw, 0, 65536);
        using (Qcow2Image top = (Qcow2Image)DiskChain.Open(_folder["top"], DiskFormat.Qcow2, readOnly: true))
        {
            Assert.Equal(
                $"{_folder["top"]}: is not writable, so what is under it cannot be merged",
                Assert.Throws<DiskException>(() => new LayerMerge(top)).Message);
        }

        using (Qcow2Image middle = (Qcow2Image)DiskChain.Open(_folder["middle"], DiskFormat.Qcow2, readOnly: false))
        {
            Assert.Equal(
                $"{_folder["middle"]}: has nothing under it that could be merged",
                Assert.Throws<DiskException>(() => new LayerMerge(middle)).Message);
        }

        using FileStream stream = new(_folder["base"], FileMode.Open);
        stream.SetLength(DiskBytes / 2);
        stream.Close();
        using (Qcow2Image top = OpenTop())
        {
            Assert.Equal(
                $"{_folder["middle"]}: is larger than {_folder["base"]}, so it cannot be merged into it",
                Assert.Throws<DiskException>(() => new LayerMerge(top)).Message);
        }
    }

    /// <summary>
    /// base with data everywhere; middle with data, zeros and discarded clusters; top with a little of everything.
    /// </summary>
    private void MakeChain(DiskFormat baseFormat, int baseCluster, int middleCluster)
    {
        Random random = new(2);
        if (baseFormat == DiskFormat.Raw) File.WriteAllBytes(_folder["base"], new byte[DiskBytes]);
        else Qcow2Image.Create(_folder["base"], DiskBytes, clusterBytes: baseCluster);
        Qcow2Image.Create(_folder["middle"], DiskBytes, "base", baseFormat, middleCluster);
        Qcow2Image.Create(_folder["top"], DiskBytes, "middle", DiskFormat.Qcow2);
        using (IDiskLayer disk = DiskChain.Open(_folder["base"], baseFormat, readOnly: false))
        {
            byte[] bytes = DiskIo.RandomBytes(DiskBytes / 2, 1);
            disk.WriteBytes(DiskBytes / 4, bytes);
            bytes.CopyTo(_model, DiskBytes / 4);
        }

        foreach (string layer in (string[])["middle", "top"])
        {
            using IDiskLayer disk = DiskChain.Open(_folder[layer], DiskFormat.Qcow2, readOnly: false);
            for (int i = 0; i < 12; i++) Write(disk, random);
            disk.WriteZeroes(5 << 20, 1 << 20, mayUnmap: true);
            _model.AsSpan(5 << 20, 1 << 20).Clear();
            disk.Discard(7 << 20, 2 << 20);
            _model.AsSpan(7 << 20, 2 << 20).Clear();
        }
    }

    private Qcow2Image OpenTop() => (Qcow2Image)DiskChain.Open(_folder["top"], DiskFormat.Qcow2, readOnly: false);

    private void Write(IDiskLayer disk, Random random)
    {
        byte[] bytes = DiskIo.RandomBytes(random.Next(1, 300) * 512, random.Next());
        int offset = random.Next((DiskBytes - bytes.Length) / 512) * 512;
        disk.WriteBytes(offset, bytes);
        bytes.CopyTo(_model, offset);
    }

    private void AssertReads(IDiskLayer disk) => Assert.True(_model.AsSpan().SequenceEqual(disk.ReadAll()));
}
