using CowMemory;
using TestKit.Disks;
using TestKit.Virtio;
using Virtio;
using Xunit;

namespace VirtioBlk.Tests;

/// <summary>Another disk for a living device: how a persistent disk is sealed and unsealed.</summary>
public sealed class SetBackendTests
{
    [Fact(DisplayName = "5.2.6.2: when capacity changes the driver is notified, and reads the new one")]
    public void Unsealing()
    {
        using TestMemory memory = new();
        using SealedDisk sealedDisk = new();
        using VirtioBlkDevice device = new(sealedDisk, "persistent0", "blk1");
        TestLine line = new();
        VirtioMmioTransport transport = new(device, memory.Memory, line);
        MockDriver driver = new(transport, memory, line);
        BlkDriver blk = new(driver);
        driver.Start();
        Assert.Equal(0UL, driver.Features & BlkFeatures.ReadOnly);
        Assert.Equal(8UL, blk.Capacity);
        byte[] read = [.. Enumerable.Repeat((byte)1, 4096)];
        Assert.Equal(BlkDriver.Ok, blk.Read(0, read));
        Assert.All(read, b => Assert.Equal(0, b));
        Assert.Equal(BlkDriver.IoError, blk.Write(0, new byte[512]));
        Assert.Equal(BlkDriver.IoError, blk.Ranges(BlkDriver.Discard, [new(0, 1)]));
        Assert.Equal(BlkDriver.IoError, blk.Ranges(BlkDriver.WriteZeroes, [new(0, 1)]));
        Assert.Equal(BlkDriver.Ok, blk.Send(BlkDriver.Flush, 0).Status);
        Assert.Equal(BlkDriver.IoError, blk.Read(8, new byte[512]));

        driver.Acknowledge();
        (long edges, uint generation) = (line.Edges, driver.Read(0x0fc));
        MemoryDisk disk = new(BlkRig.DiskBytes);
        Assert.Same(sealedDisk, device.SetBackend(disk, notify: true));
        Assert.Equal((edges + 1, 2u), (line.Edges, driver.Read(0x060)));
        Assert.NotEqual(generation, driver.Read(0x0fc));
        Assert.Equal(BlkRig.DiskSectors, blk.Capacity);
        Assert.Equal(BlkDriver.Ok, blk.Write(100, new byte[512]));
        Assert.False(disk.IsDisposed);
    }

    [Theory(DisplayName = "What the driver asked of the sealed disk is refused by it, also when the next one is there already")]
    [InlineData(BlkDriver.Out, false)]
    [InlineData(BlkDriver.Out, true)]
    [InlineData(BlkDriver.WriteZeroes, false)]
    [InlineData(BlkDriver.Discard, true)]
    public void A_request_that_waits_while_the_disk_is_unsealed(uint type, bool move)
    {
        using TestMemory memory = new();
        using SealedDisk sealedDisk = new();
        using VirtioBlkDevice device = new(sealedDisk, "persistent0", "blk1"), next = new(sealedDisk, "persistent0", "blk1");
        TestLine line = new();
        VirtioMmioTransport transport = new(device, memory.Memory, line), nextTransport = new(next, memory.Memory, line);
        MockDriver driver = new(transport, memory, line);
        BlkDriver blk = new(driver);
        driver.Start();
        transport.Suspend();
        Gpa status = blk.NewStatus();
        byte[] data = new byte[512];
        if (type != BlkDriver.Out) data = [.. new byte[8], 1, .. new byte[7]]; // sector 0, one sector
        driver.Queue.Add(
            DriverBuffer.Readable(memory.Place(blk.Header(type, 0)), 16),
            DriverBuffer.Readable(memory.Place(data), (uint)data.Length),
            DriverBuffer.Writable(status, 1));
        driver.Kick();
        if (move)
        {
            nextTransport.Load(transport.Save());
            driver.Registers = nextTransport;
        }

        MemoryDisk disk = new(BlkRig.DiskBytes);
        disk.Bytes.AsSpan().Fill(7);
        (move ? next : device).SetBackend(disk, notify: true);
        (move ? nextTransport : transport).Resume();
        driver.WaitUsed();
        Assert.Equal(BlkDriver.IoError, blk.StatusAt(status));
        Assert.Equal((0, 0, 0), (disk.Writes, disk.Discards.Count, disk.Zeroes.Count));
        Assert.Equal(BlkDriver.Ok, blk.Write(0, new byte[512]));
        Assert.Equal(1, disk.Writes);
    }

    [Fact]
    public void The_same_size_tells_nobody()
    {
        using BlkRig rig = new();
        uint generation = rig.Driver.Read(0x0fc);
        MemoryDisk other = new(BlkRig.DiskBytes);
        rig.Device.SetBackend(other, notify: true);
        Assert.Equal((0L, generation), (rig.Line.Edges, rig.Driver.Read(0x0fc)));
        rig.Blk.Read(0, new byte[512]);
        Assert.Equal((0, 1), (rig.Disk.Reads, other.Reads));
    }

    [Fact]
    public void Without_notify_capacity_changes_silently()
    {
        using BlkRig rig = new();
        rig.Device.SetBackend(new MemoryDisk(512), notify: false);
        Assert.Equal((0L, 1UL), (rig.Line.Edges, rig.Blk.Capacity));
    }

    [Fact(DisplayName = "While suspended, as at the switch: the interrupt is there when the guest runs again")]
    public void While_suspended()
    {
        using BlkRig rig = new();
        rig.Transport.Suspend();
        rig.Device.SetBackend(new MemoryDisk(512), notify: true);
        Assert.Equal(2u, rig.Transport.Save().InterruptStatus);
        Assert.Throws<InvalidOperationException>(() =>
        {
            rig.Transport.Resume();
            rig.Transport.Save();
        });
        Assert.Equal(BlkDriver.IoError, rig.Blk.Read(1, new byte[512]));
    }

    [Fact(DisplayName = "A disk that may not be written, behind a device that never said so: IOERR")]
    public void Read_only_behind_a_writable_device()
    {
        using BlkRig rig = new();
        MemoryDisk other = new(BlkRig.DiskBytes, readOnly: true);
        rig.Device.SetBackend(other, notify: true);
        Assert.Equal(BlkDriver.IoError, rig.Blk.Write(0, new byte[512]));
        Assert.Equal(BlkDriver.IoError, rig.Blk.Ranges(BlkDriver.WriteZeroes, [new(0, 1)]));
        Assert.Equal(0, other.Writes);
        Assert.Equal(0UL, rig.Driver.ReadOffered() & BlkFeatures.ReadOnly); // features do not change under a driver
    }

    [Fact(DisplayName = "2.5.1: capacity read in two halves under the generation is always one that there was")]
    public void Capacity_is_never_torn()
    {
        using BlkRig rig = new();
        using HugeDisk small = new(512L << 31), large = new((512L << 33) + (512 * 7));
        rig.Device.SetBackend(small, notify: false);
        bool ended = false;
        Thread switching = new(() =>
        {
            while (!Volatile.Read(ref ended))
            {
                rig.Device.SetBackend(large, notify: false);
                rig.Device.SetBackend(small, notify: false);
            }
        });
        switching.Start();
        HashSet<ulong> seen = [];
        for (int i = 0; i < 50_000 || seen.Count < 2; i++) seen.Add(rig.Blk.Capacity);
        Volatile.Write(ref ended, true);
        switching.Join();
        Assert.Equal([1UL << 31, (1UL << 33) + 7], seen.Order());
    }

    [Fact(DisplayName = "Under load: every request goes to one disk or the other")]
    public void Under_load()
    {
        using BlkRig rig = new();
        MemoryDisk other = new(BlkRig.DiskBytes);
        bool ended = false;
        Thread switching = new(() =>
        {
            IBlockBackend spare = other;
            while (!Volatile.Read(ref ended)) spare = rig.Device.SetBackend(spare, notify: true);
        });
        switching.Start();
        int sent = 0;
        ulong mark = rig.Memory.Mark();
        for (; sent < 1000 || rig.Disk.Reads == 0 || other.Reads == 0; sent++)
        {
            rig.Memory.Release(mark);
            Assert.Equal(BlkDriver.Ok, rig.Blk.Read(0, new byte[512]));
        }

        Volatile.Write(ref ended, true);
        switching.Join();
        Assert.Equal(sent, rig.Disk.Reads + other.Reads);
    }

    private sealed class HugeDisk(long lengthBytes) : IBlockBackend
    {
        public long LengthBytes => lengthBytes;

        public bool IsReadOnly => true;

        public void Read(ReadOnlySpan<Kvm.Interop.IoVec> vectors, long offset) { }

        public void Write(ReadOnlySpan<Kvm.Interop.IoVec> vectors, long offset) { }

        public void Flush() { }

        public void Discard(long offset, long length) { }

        public void WriteZeroes(long offset, long length, bool mayUnmap) { }

        public void Dispose() { }
    }
}
