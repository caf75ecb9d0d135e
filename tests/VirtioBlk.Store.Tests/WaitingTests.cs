using Kvm.Interop;

namespace VirtioBlk.Store.Tests;

/// <summary>Who must wait for whom: one side is held inside the host, the other must not get ahead of it.</summary>
public sealed class WaitingTests : IDisposable
{
    private const int ClusterBytes = 65536;
    private const int DiskBytes = 16 * ClusterBytes;

    private readonly TempFolder _folder = new();
    private readonly ManualResetEventSlim _arrived = new();
    private readonly ManualResetEventSlim _released = new();

    public void Dispose()
    {
        _arrived.Dispose();
        _released.Dispose();
        _folder.Dispose();
    }

    [Fact]
    public void A_discarded_cluster_is_not_used_again_while_somebody_still_writes_to_it()
    {
        using RecordingFile file = MakeFile();
        using Qcow2Image image = Qcow2Image.Open(file, readOnly: false, null);
        image.WritePattern(0, ClusterBytes, 1);
        image.Flush();
        Hold(file);
        Thread late = Begin(() => image.WritePattern(512, 512, 2));
        _arrived.Wait(TestContext.Current.CancellationToken);
        file.BeforeWrite = null;
        Thread other = Begin(() =>
        {
            image.Discard(0, ClusterBytes);
            image.Flush();
            image.WritePattern(5 * ClusterBytes, ClusterBytes, 3);
        });
        Release(other, late);
        Assert.Equal(DiskIo.Pattern(ClusterBytes, 3), image.ReadBytes(5 * ClusterBytes, ClusterBytes));
        image.Flush();
        File.WriteAllBytes(_folder["left"], file.Snapshot());
        Qemu.AssertClean(_folder["left"]);
    }

    [Fact]
    public void A_freeze_waits_for_the_write_under_way()
    {
        using RecordingFile file = MakeFile();
        using Qcow2Image image = Qcow2Image.Open(file, readOnly: false, null);
        Hold(file);
        Thread late = Begin(() => image.WritePattern(0, ClusterBytes, 1));
        _arrived.Wait(TestContext.Current.CancellationToken);
        byte[]? seen = null;
        Thread other = Begin(() =>
        {
            image.Freeze();
            seen = image.ReadBytes(0, ClusterBytes);
        });
        Release(other, late);
        Assert.Equal(DiskIo.Pattern(ClusterBytes, 1), seen);
    }

    /// <summary>What is written while a flush is under way is not in the file when that one is done.</summary>
    [Fact]
    public void A_frozen_layer_is_shared_by_a_flush_that_began_frozen_and_by_no_other()
    {
        using RecordingFile file = MakeFile();
        using Qcow2Image image = Qcow2Image.Open(file, readOnly: false, null);
        image.WritePattern(0, ClusterBytes, 1);
        Hold(file);
        Thread late = Begin(image.Flush);
        _arrived.Wait(TestContext.Current.CancellationToken);
        file.BeforeWrite = null;
        image.WritePattern(5 * ClusterBytes, ClusterBytes, 2);
        image.Freeze();
        _released.Set();
        late.Join();
        Assert.Null(file.Locked);
        image.Flush();
        Assert.Equal(DiskLock.Shared, file.Locked);
        File.WriteAllBytes(_folder["left"], file.Snapshot());
        Assert.Equal(image.ReadAll(), Qemu.ReadAll(_folder["left"], "qcow2", _folder));
    }

    [Fact]
    public void A_layer_that_was_merged_into_is_not_shared_by_a_flush_from_before()
    {
        using RecordingFile file = MakeFile();
        LayerAccess access = new(file, LayerState.Writable);
        access.Freeze();
        int before = access.Frozen;
        access.Thaw();
        Assert.Equal(0, access.Frozen);
        access.Freeze();
        access.Share(before);
        Assert.Equal(DiskLock.Exclusive, file.Locked);
        access.Share(access.Frozen);
        Assert.Equal(DiskLock.Shared, file.Locked);
    }

    [Fact]
    public void A_backing_is_handed_back_when_nobody_reads_it_any_more()
    {
        using HeldBackend old = new(DiskBytes, _arrived, _released);
        using RecordingFile file = MakeFile();
        using Qcow2Image image = Qcow2Image.Open(file, readOnly: false, old, ownsBacking: false);
        Thread late = Begin(() => image.ReadBytes(0, 512));
        _arrived.Wait(TestContext.Current.CancellationToken);
        bool inUse = false;
        Thread other = Begin(() =>
        {
            Assert.Same(old, image.SetBacking(null, null, null));
            inUse = old.IsInUse;
        });
        Release(other, late);
        Assert.False(inUse);
        Assert.Null(image.Backing);
    }

    [Fact]
    public void Two_writes_into_one_new_cluster_give_it_one_place()
    {
        using RecordingFile file = MakeFile();
        using Qcow2Image image = Qcow2Image.Open(file, readOnly: false, null);
        image.WritePattern(ClusterBytes, 512, 9); // there is a table now
        Hold(file);
        Thread late = Begin(() => image.WritePattern(0, 512, 1));
        _arrived.Wait(TestContext.Current.CancellationToken);
        file.BeforeWrite = null;
        Thread other = Begin(() => image.WritePattern(512, 512, 2));
        Release(other, late);
        Assert.Equal([.. DiskIo.Pattern(512, 1), .. DiskIo.Pattern(512, 2)], image.ReadBytes(0, 1024));
        image.Flush();
        File.WriteAllBytes(_folder["left"], file.Snapshot());
        Qemu.AssertClean(_folder["left"]);
    }

    private static Thread Begin(Action action)
    {
        Thread thread = new(() => action());
        thread.Start();
        return thread;
    }

    private RecordingFile MakeFile()
    {
        Qcow2Image.Create(_folder["new"], DiskBytes, clusterBytes: ClusterBytes);
        return new RecordingFile("recorded", File.ReadAllBytes(_folder["new"]));
    }

    private void Hold(RecordingFile file) => file.BeforeWrite = _ =>
    {
        _arrived.Set();
        _released.Wait();
    };

    /// <summary>Lets the held one go on when the other is done, as it must not be, or waits.</summary>
    private void Release(Thread other, Thread late)
    {
        SpinWait.SpinUntil(() => !other.IsAlive || (other.ThreadState & ThreadState.WaitSleepJoin) != 0);
        _released.Set();
        other.Join();
        late.Join();
    }

    /// <summary>A backing in which every read is held.</summary>
    private sealed class HeldBackend(long lengthBytes, ManualResetEventSlim arrived, ManualResetEventSlim released)
        : IBlockBackend
    {
        private volatile bool _isInUse;

        public bool IsInUse => _isInUse;

        public long LengthBytes => lengthBytes;

        public bool IsReadOnly => true;

        public void Read(ReadOnlySpan<IoVec> vectors, long offset)
        {
            _isInUse = true;
            arrived.Set();
            released.Wait();
            _isInUse = false;
        }

        public void Write(ReadOnlySpan<IoVec> vectors, long offset) => throw new InvalidOperationException();

        public void Flush()
        {
        }

        public void Discard(long offset, long length) => throw new InvalidOperationException();

        public void WriteZeroes(long offset, long length, bool mayUnmap) => throw new InvalidOperationException();

        public void Dispose()
        {
        }
    }
}
