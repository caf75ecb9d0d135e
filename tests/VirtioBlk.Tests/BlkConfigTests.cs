using System.Buffers.Binary;
using TestKit;
using TestKit.Disks;
using Virtio;
using Xunit;

namespace VirtioBlk.Tests;

/// <summary>What the device says about itself (virtio 1.2 §5.2.1 to §5.2.5).</summary>
public sealed class BlkConfigTests
{
    private const ulong Common =
        BlkFeatures.SegmentMax | BlkFeatures.BlockSize | BlkFeatures.Topology | BlkFeatures.Flush
        | BlkFeatures.ConfigWriteCache | VirtioFeatures.Transport;

    [Fact(DisplayName = "5.2.1, 2.2.2, 5.2.5.2, 5.2.6.2, 6.2: device 2; the features of a writable disk, none without what it requires")]
    public void Writable_disk()
    {
        using BlkRig rig = new(start: false);
        Assert.Equal(2u, rig.Driver.Read(0x008));
        Assert.Equal(Common | BlkFeatures.Discard | BlkFeatures.WriteZeroes, rig.Driver.ReadOffered());
    }

    [Fact(DisplayName = "5.2.3: RO is offered for a read-only disk, and nothing that writes")]
    public void Read_only_disk()
    {
        using BlkRig rig = new(readOnly: true, start: false);
        Assert.Equal(Common | BlkFeatures.ReadOnly, rig.Driver.ReadOffered());
    }

    [Fact(DisplayName = "5.2.4, 2.5.2, 5.2.5.2: configuration space MUST be readable before FEATURES_OK, its padding MUST be 0")]
    public void Fields()
    {
        using BlkRig rig = new(start: false);
        byte[] config = rig.Driver.ReadConfig(0, 60);
        Assert.Equal(BlkRig.DiskSectors, BinaryPrimitives.ReadUInt64LittleEndian(config)); // capacity
        Assert.Equal(254u, Field(12)); // seg_max: the queue less header and status
        Assert.Equal(512u, Field(20)); // blk_size
        Assert.Equal((3, 0, 8, 0u), ((int)config[24], (int)config[25], config[26] | (config[27] << 8), Field(28))); // topology: 4 KiB blocks
        Assert.Equal(1, config[32]); // writeback: FLUSH is offered
        Assert.Equal(1, config[34] | (config[35] << 8)); // num_queues
        Assert.Equal(32768u, Field(36)); // max_discard_sectors
        Assert.Equal(16u, Field(40)); // max_discard_seg
        Assert.Equal(8u, Field(44)); // discard_sector_alignment
        Assert.Equal(32768u, Field(48)); // max_write_zeroes_sectors
        Assert.Equal(16u, Field(52)); // max_write_zeroes_seg
        Assert.Equal(1, config[56]); // write_zeroes_may_unmap
        // unused0 and unused1 MUST be 0 (5.2.5.2).
        Assert.Equal((0, 0, 0, 0), (config[33], config[57], config[58], config[59]));

        uint Field(int offset) => BinaryPrimitives.ReadUInt32LittleEndian(config.AsSpan(offset));
    }

    [Fact(DisplayName = "5.2.4: what the driver writes into configuration space changes nothing")]
    public void Fields_are_read_only()
    {
        using BlkRig rig = new();
        byte[] before = rig.Driver.ReadConfig(0, 60);
        for (ulong offset = 0; offset < 0x100; offset += 4) rig.Driver.Write(0x100 + offset, uint.MaxValue);
        Assert.Equal(before, rig.Driver.ReadConfig(0, 60));
    }

    [Fact]
    public void The_threads_have_their_names()
    {
        using MemoryDisk disk = new(512);
        using VirtioBlkDevice device = new(disk, "", "blk-named");
        string[] names = OwnThreads.Names();
        foreach (string name in (string[])["blk-named-q0", "blk-named-io", "blk-named-fl"]) Assert.Contains(name, names);
    }

    [Theory]
    [InlineData("123456789012345678901")]
    [InlineData("dïsk")]
    public void Serials_are_short_and_ASCII(string serial)
    {
        using MemoryDisk disk = new(512);
        Assert.Throws<ArgumentException>(() => new VirtioBlkDevice(disk, serial, "blk0"));
    }
}
