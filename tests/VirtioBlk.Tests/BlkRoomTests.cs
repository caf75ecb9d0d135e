using CowMemory;
using Kvm.Interop;
using TestKit.Virtio;
using Virtio;
using VirtioBlk.Store;
using Xunit;

namespace VirtioBlk.Tests;

/// <summary>
/// An overlay whose metadata has to be written out before more can change: what that waits for, no pause waits for.
/// </summary>
public sealed class BlkRoomTests : IDisposable
{
    private const int ClusterBytes = 4096;
    private const int DiskBytes = 4096 * ClusterBytes;

    private readonly string _path = Path.GetTempFileName();
    private readonly Signal _begun = new(), _finish = new();

    public void Dispose() => File.Delete(_path);

    [Theory(DisplayName = "Suspend does not wait for a host that syncs, after many discards; the request is served where the state is loaded")]
    [InlineData(BlkDriver.Out)]
    [InlineData(BlkDriver.Discard)]
    [InlineData(BlkDriver.WriteZeroes)]
    public void Pause(uint type)
    {
        File.Delete(_path);
        Qcow2Image.Create(_path, DiskBytes, clusterBytes: ClusterBytes);
        using SlowSyncFile file = new(HostFile.Open(_path, writable: true, DiskLock.Exclusive));
        using Qcow2Image image = Qcow2Image.Open(file, readOnly: false, null);
        Fill(image);
        file.BeforeSync = () =>
        {
            _begun.Set();
            _finish.Wait();
        };
        using TestMemory memory = new();
        using VirtioBlkDevice device = new(image, "", "blk0"), next = new(image, "", "blk1");
        TestLine line = new();
        VirtioMmioTransport transport = new(device, memory.Memory, line), nextTransport = new(next, memory.Memory, line);
        MockDriver driver = new(transport, memory, line);
        BlkDriver blk = new(driver);
        driver.Start();
        try
        {
            (ushort freeing, _) = Publish(blk, BlkDriver.Discard, DiskBytes / 2);
            Suspend(transport);
            transport.Resume();
            Assert.Equal(freeing, driver.WaitUsed().Id);

            (ushort id, Gpa status) = Publish(blk, type, ClusterBytes);
            _begun.Wait();
            Suspend(transport);
            Assert.Equal([id], transport.Save().Queues[0].Returned);
            Assert.Equal(BlkDriver.NoStatus, blk.StatusAt(status));

            nextTransport.Load(transport.Save());
            driver.Registers = nextTransport;
            nextTransport.Resume();
            _finish.Set();
            Assert.Equal(id, driver.WaitUsed().Id);
            Assert.Equal(BlkDriver.Ok, blk.StatusAt(status));
        }
        finally
        {
            _finish.Set();
        }
    }

    private static unsafe void Fill(Qcow2Image image)
    {
        byte[] bytes = new byte[1 << 20];
        Array.Fill(bytes, (byte)7);
        fixed (byte* at = bytes)
        {
            for (long offset = 0; offset < DiskBytes; offset += bytes.Length)
                image.Write([new IoVec((nint)at, (nuint)bytes.Length)], offset);
        }

        image.Flush();
    }

    private static void Suspend(VirtioMmioTransport transport)
    {
        Thread pausing = new(() => transport.Suspend()) { IsBackground = true };
        pausing.Start();
        Assert.True(pausing.Join(TimeSpan.FromSeconds(20)), "The pause waits for the host's disk");
    }

    private static (ushort Id, Gpa Status) Publish(BlkDriver blk, uint type, uint bytes)
    {
        MockDriver driver = blk.Driver;
        Gpa status = blk.NewStatus();
        DriverBuffer data = type == BlkDriver.Out
            ? DriverBuffer.Readable(driver.Memory.Allocate((int)bytes), bytes)
            : DriverBuffer.Readable(driver.Memory.Place([0, 0, 0, 0, 0, 0, 0, 0, .. BitConverter.GetBytes(bytes / 512), 0, 0, 0, 0]), 16);
        ushort id = driver.Queue.Add(
            DriverBuffer.Readable(driver.Memory.Place(blk.Header(type, 0)), 16), data, DriverBuffer.Writable(status, 1));
        driver.Kick();
        return (id, status);
    }

    /// <summary>A host file whose syncs wait where a test says so.</summary>
    private sealed class SlowSyncFile(IHostFile file) : IHostFile
    {
        public Action? BeforeSync { get; set; }

        public string Path => file.Path;

        public long LengthBytes => file.LengthBytes;

        public long Read(ReadOnlySpan<IoVec> vectors, long offset) => file.Read(vectors, offset);

        public bool TryReadCached(ReadOnlySpan<IoVec> vectors, long offset) => file.TryReadCached(vectors, offset);

        public void Write(ReadOnlySpan<IoVec> vectors, long offset) => file.Write(vectors, offset);

        public void Sync()
        {
            BeforeSync?.Invoke();
            file.Sync();
        }

        public bool TryPunch(long offset, long length) => file.TryPunch(offset, length);

        public bool TryZero(long offset, long length) => file.TryZero(offset, length);

        public void MakeWritable() => file.MakeWritable();

        public void Lock(DiskLock mode) => file.Lock(mode);

        public void Dispose() => file.Dispose();
    }
}
