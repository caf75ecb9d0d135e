using TestKit.Disks;
using TestKit.Virtio;
using Virtio;
using Xunit;

namespace VirtioBlk.Tests;

/// <summary>CONFIG_WCE: the driver chooses between write-back and write-through (virtio 1.2 §5.2.5, §5.2.6.2).</summary>
public sealed class BlkWriteCacheTests
{
    private const ulong WriteBack = BlkConfig.WriteBackOffset;

    [Fact(DisplayName = "5.2.6.2: with writeback 0 a completed write MUST be stable; with 1 only a FLUSH makes it so")]
    public void Writeback()
    {
        using BlkRig rig = new();
        Assert.Equal(BlkDriver.Ok, rig.Blk.Write(0, new byte[512]));
        Assert.Equal(0, rig.Disk.Flushes);
        Set(rig.Driver, 0);
        Assert.Equal(0, rig.Driver.ReadConfig(WriteBack, 1)[0]);
        Assert.Equal(BlkDriver.Ok, rig.Blk.Write(0, new byte[512]));
        Assert.Equal(1, rig.Disk.Flushes);
        Assert.Equal(BlkDriver.Ok, rig.Blk.Ranges(BlkDriver.WriteZeroes, [new(0, 1)]));
        Assert.Equal(2, rig.Disk.Flushes);
        Set(rig.Driver, 1);
        Assert.Equal(BlkDriver.Ok, rig.Blk.Write(0, new byte[512]));
        Assert.Equal(2, rig.Disk.Flushes);
    }

    [Fact(DisplayName = "5.2.5.2: CONFIG_WCE negotiated without FLUSH: writeback MUST begin as 0")]
    public void Without_flush()
    {
        using BlkRig rig = new(unwanted: BlkFeatures.Flush);
        Assert.Equal(0, rig.Driver.ReadConfig(WriteBack, 1)[0]);
        Assert.Equal(BlkDriver.Ok, rig.Blk.Write(0, new byte[512]));
        Assert.Equal(1, rig.Disk.Flushes);
    }

    [Fact(DisplayName = "5.2.5: without CONFIG_WCE writeback is not the driver's to write; a reset makes it 1 again")]
    public void Not_negotiated_and_reset()
    {
        using BlkRig rig = new(unwanted: BlkFeatures.ConfigWriteCache);
        Set(rig.Driver, 0);
        Assert.Equal(1, rig.Driver.ReadConfig(WriteBack, 1)[0]);
        rig.Driver.Start();
        Set(rig.Driver, 0);
        rig.Driver.Status = VirtioStatus.None;
        Assert.Equal(1, rig.Driver.ReadConfig(WriteBack, 1)[0]);
    }

    [Theory(DisplayName = "2.5: writeback is written in an access of any width that covers it")]
    [InlineData(28, 8, 4)]
    [InlineData(32, 4, 0)]
    [InlineData(32, 2, 0)]
    [InlineData(30, 4, 2)]
    public void Wider_accesses(int offset, int length, int at)
    {
        using BlkRig rig = new();
        byte[] data = new byte[length];
        rig.Transport.Write(0x100 + (ulong)offset, data);
        Assert.Equal(0, rig.Driver.ReadConfig((ulong)offset, length)[at]);
    }

    [Fact]
    public void Writeback_moves_with_the_state()
    {
        using BlkRig rig = new();
        Set(rig.Driver, 0);
        rig.Transport.Suspend();
        using MemoryDisk disk = new(BlkRig.DiskBytes);
        using VirtioBlkDevice device = new(disk, "system0", "blk1");
        VirtioMmioTransport transport = new(device, rig.Memory.Memory, rig.Line);
        transport.Load(rig.Transport.Save());
        rig.Driver.Registers = transport;
        transport.Resume();
        Assert.Equal(0, rig.Driver.ReadConfig(WriteBack, 1)[0]);
        Assert.Equal(BlkDriver.Ok, rig.Blk.Write(0, new byte[512]));
        Assert.Equal(1, disk.Flushes);
    }

    private static void Set(MockDriver driver, byte value) => driver.Registers.Write(0x100 + WriteBack, [value]);
}
