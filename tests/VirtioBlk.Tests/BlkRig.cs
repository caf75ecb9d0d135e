using CowMemory;
using TestKit.Disks;
using TestKit.Virtio;
using Virtio;
using VirtioBlk.Turns;

namespace VirtioBlk.Tests;

/// <summary>A block device with everything around it that a guest would see, over a disk of random content.</summary>
internal sealed class BlkRig : IDisposable
{
    public const int DiskBytes = 1 << 20;
    public const ulong DiskSectors = DiskBytes / 512;

    public BlkRig(
        bool readOnly = false, string serial = "system0", bool start = true, ulong unwanted = 0, int queues = 1,
        IDiskTurns? turns = null)
    {
        Disk = new MemoryDisk(DiskBytes, readOnly);
        new Random(7).NextBytes(Disk.Bytes);
        Backend = new FaultInjectingDisk(Disk);
        Device = new VirtioBlkDevice(Backend, serial, "blk0", queues, turns);
        Transport = new VirtioMmioTransport(Device, Memory.Memory, Line);
        Driver = new MockDriver(Transport, Memory, Line);
        Blk = new BlkDriver(Driver);
        if (start) Driver.Start(unwanted: unwanted);
    }

    public TestMemory Memory { get; } = new();

    public TestLine Line { get; } = new();

    public MemoryDisk Disk { get; }

    public FaultInjectingDisk Backend { get; }

    public VirtioBlkDevice Device { get; }

    public VirtioMmioTransport Transport { get; }

    public MockDriver Driver { get; }

    public BlkDriver Blk { get; }

    public DriverBuffer Header(uint type, ulong sector = 0) =>
        DriverBuffer.Readable(Memory.Place(Blk.Header(type, sector)), 16);

    public DriverBuffer Readable(int length) => DriverBuffer.Readable(Memory.Allocate(length), (uint)length);

    public DriverBuffer Writable(int length) => DriverBuffer.Writable(Memory.Allocate(length), (uint)length);

    public byte[] Bytes(Gpa address, int length) => Memory.Memory.Read(address, length).ToArray();

    /// <summary>Waits, by interrupts, until the device has said that it cannot go on.</summary>
    public void WaitNeedsReset()
    {
        while (true)
        {
            long edges = Line.Edges;
            if (Driver.Status.HasFlag(VirtioStatus.NeedsReset)) return;
            Line.Wait(edges);
        }
    }

    public void Dispose()
    {
        Device.Dispose();
        Memory.Dispose();
    }
}
