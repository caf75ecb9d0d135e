using TestKit.Disks;
using TestKit.Virtio;
using Virtio;

namespace VirtioBlk.Tests;

/// <summary>A block device with everything around it that a guest would see.</summary>
internal sealed class BlkRig : IDisposable
{
    public const int DiskBytes = 1 << 20;

    public BlkRig(IBlockBackend? backend = null, string serial = "system0", bool start = true, ulong unwanted = 0)
    {
        Disk = backend as MemoryDisk ?? new MemoryDisk(DiskBytes);
        new Random(7).NextBytes(Disk.Bytes);
        Device = new VirtioBlkDevice(backend ?? Disk, serial, "blk0");
        Transport = new VirtioMmioTransport(Device, Memory.Memory, Line);
        Driver = new MockDriver(Transport, Memory, Line);
        Blk = new BlkDriver(Driver);
        if (start) Driver.Start(unwanted: unwanted);
    }

    public TestMemory Memory { get; } = new();

    public TestLine Line { get; } = new();

    public MemoryDisk Disk { get; }

    public VirtioBlkDevice Device { get; }

    public VirtioMmioTransport Transport { get; }

    public MockDriver Driver { get; }

    public BlkDriver Blk { get; }

    public void Dispose()
    {
        Device.Dispose();
        Memory.Dispose();
    }
}
