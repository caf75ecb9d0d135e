namespace VirtioBlk.Store.Tests;

public sealed class FreezeTests : IDisposable
{
    private const int DiskBytes = 8 << 20;

    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Costs_no_io_and_keeps_unwritten_metadata_readable()
    {
        string path = _folder["a.qcow2"];
        Qcow2Image.Create(path, DiskBytes);
        using RecordingFile file = new(path, File.ReadAllBytes(path));
        using Qcow2Image image = Qcow2Image.Open(file, readOnly: false, null);
        image.WritePattern(0, 1 << 20, 7);
        int events = file.Events.Count;
        long reads = file.Reads;
        image.Freeze();
        Assert.Equal(events, file.Events.Count);
        Assert.Equal(reads, file.Reads);

        // The file itself knows nothing yet: the entries that say where the data is are in memory.
        File.WriteAllBytes(path, file.Snapshot());
        Assert.Equal(new byte[DiskBytes], Qemu.ReadAll(path, "qcow2", _folder));
        Assert.Equal(DiskIo.Pattern(1 << 20, 7), image.ReadBytes(0, 1 << 20));

        image.Flush();
        File.WriteAllBytes(path, file.Snapshot());
        Qemu.AssertClean(path);
        Assert.Equal(image.ReadAll(), Qemu.ReadAll(path, "qcow2", _folder));
        Assert.Equal(DiskIo.Pattern(1 << 20, 7), image.ReadBytes(0, 1 << 20));
    }

    [Fact]
    public void Refuses_every_kind_of_write()
    {
        string path = _folder["a.qcow2"];
        Qcow2Image.Create(path, DiskBytes);
        using Qcow2Image image = Qcow2Image.Open(path, readOnly: false);
        image.Freeze();
        Assert.True(image.IsReadOnly);
        Action[] writes =
        [
            () => image.WritePattern(0, 512, 1),
            () => image.Discard(0, DiskBytes),
            () => image.WriteZeroes(0, 512, true),
            () => image.SetBacking(null, null, null),
        ];
        foreach (Action write in writes)
            Assert.Equal($"{path}: is frozen", Assert.Throws<DiskException>(write).Message);
    }

    [Fact]
    public void A_flush_of_the_overlay_makes_the_frozen_layers_writes_durable()
    {
        Qcow2Image.Create(_folder["base"], DiskBytes);
        Qcow2Image.Create(_folder["top"], DiskBytes, "base", DiskFormat.Qcow2);
        RecordingFile file = new(_folder["base"], File.ReadAllBytes(_folder["base"]));
        Qcow2Image below = Qcow2Image.Open(file, readOnly: false, null);
        using Qcow2Image top = Qcow2Image.Open(_folder["top"], readOnly: false, below);
        below.WritePattern(0, 100_352, 3);
        below.Freeze();
        top.WritePattern(1 << 20, 512, 4);
        top.Flush();
        Assert.Null(file.Events[^1].Bytes);
        File.WriteAllBytes(_folder["base"], file.Snapshot());
        Qemu.AssertClean(_folder["base"]);
        Assert.Equal(top.ReadAll(), Qemu.ReadAll(_folder["top"], "qcow2", _folder));
        Assert.Equal(DiskIo.Pattern(100_352, 3), top.ReadBytes(0, 100_352));

        // Nothing is written twice.
        int events = file.Events.Count;
        top.WritePattern(1 << 20, 512, 5);
        top.Flush();
        Assert.Equal(events, file.Events.Count);
    }

    [Fact]
    public void Another_process_may_read_the_layer_when_it_is_flushed_and_not_before()
    {
        string path = _folder["a.qcow2"];
        Qcow2Image.Create(path, DiskBytes);
        using Qcow2Image image = Qcow2Image.Open(path, readOnly: false);
        image.WritePattern(0, 512, 1);
        image.Freeze();
        Assert.Throws<DiskInUseException>(() => Qcow2Image.Open(path, readOnly: true));
        image.Flush();
        using Qcow2Image other = Qcow2Image.Open(path, readOnly: true);
        Assert.Equal(DiskIo.Pattern(512, 1), other.ReadBytes(0, 512));
    }

    /// <summary>
    /// Freeze, go on in an overlay, flush the frozen layer on another thread meanwhile; again and again.
    /// </summary>
    [Fact]
    public void One_thread_reads_through_a_layer_while_another_flushes_it()
    {
        byte[] model = new byte[DiskBytes];
        Random random = new(5);
        Qcow2Image.Create(_folder["0"], DiskBytes, clusterBytes: 4096);
        Qcow2Image top = Qcow2Image.Open(HostFile.Open(_folder["0"], true, DiskLock.Exclusive), false, null, 128 << 10);
        for (int layer = 1; layer <= 12; layer++)
        {
            for (int i = 0; i < 60; i++)
            {
                byte[] bytes = DiskIo.RandomBytes(random.Next(1, 40) * 512, layer * 1000 + i);
                int offset = random.Next((DiskBytes - bytes.Length) / 512) * 512;
                top.WriteBytes(offset, bytes);
                bytes.CopyTo(model, offset);
            }

            Qcow2Image frozen = top;
            Qcow2Image.Create(_folder[$"{layer}"], DiskBytes, $"{layer - 1}", DiskFormat.Qcow2, 4096);
            HostFile file = HostFile.Open(_folder[$"{layer}"], true, DiskLock.Exclusive);
            top = Qcow2Image.Open(file, false, frozen, 128 << 10);
            frozen.Freeze();
            Exception? failure = null;
            Thread flusher = new(() => failure = Record.Exception(frozen.Flush));
            flusher.Start();
            do
            {
                int offset = random.Next(DiskBytes / 512 - 64) * 512;
                Assert.True(top.ReadBytes(offset, 32768).AsSpan().SequenceEqual(model.AsSpan(offset, 32768)));
            }
            while (flusher.IsAlive);
            flusher.Join();
            Assert.Null(failure);
            Qemu.AssertClean(_folder[$"{layer - 1}"]);
        }

        Assert.True(top.ReadAll().AsSpan().SequenceEqual(model));
        top.Dispose();
        Assert.True(Qemu.ReadAll(_folder["12"], "qcow2", _folder).AsSpan().SequenceEqual(model));
    }

    /// <summary>Not what a fork does, but what a disk with several queues will.</summary>
    [Fact]
    public void One_thread_writes_while_another_flushes()
    {
        byte[] model = new byte[DiskBytes];
        Random random = new(6);
        string path = _folder["a.qcow2"];
        Qcow2Image.Create(path, DiskBytes, clusterBytes: 512);
        using (Qcow2Image image = Qcow2Image.Open(HostFile.Open(path, true, DiskLock.Exclusive), false, null, 64 << 10))
        {
            Exception? failure = null;
            using CancellationTokenSource done = new();
            Thread flusher = new(() => failure = Record.Exception(() =>
            {
                while (!done.IsCancellationRequested) image.Flush();
            }));
            flusher.Start();
            for (int i = 0; i < 1500; i++)
            {
                byte[] bytes = DiskIo.RandomBytes(random.Next(1, 40) * 512, i);
                int offset = random.Next((DiskBytes - bytes.Length) / 512) * 512;
                if (i % 5 == 4) image.WriteZeroes(offset, bytes.Length, mayUnmap: true);
                else image.WriteBytes(offset, bytes);
                if (i % 5 == 4) bytes = new byte[bytes.Length];
                bytes.CopyTo(model, offset);
            }

            done.Cancel();
            flusher.Join();
            Assert.Null(failure);
            Assert.True(image.ReadAll().AsSpan().SequenceEqual(model));
        }

        Qemu.AssertClean(path);
        Assert.True(Qemu.ReadAll(path, "qcow2", _folder).AsSpan().SequenceEqual(model));
    }
}
