using System.Text;
using TestKit.Virtio;
using Xunit;

namespace VirtioBlk.Tests;

/// <summary>What the device does with well-formed requests (virtio 1.2 §5.2.6).</summary>
public sealed class BlkRequestTests
{
    [Fact]
    public void In_and_out_move_sectors()
    {
        using BlkRig rig = new();
        byte[] written = Encoding.ASCII.GetBytes(new string('x', 1024));
        Assert.Equal(BlkDriver.Ok, rig.Blk.Write(3, written));
        Assert.Equal(written, rig.Disk.Bytes[1536..2560]);
        byte[] read = new byte[2048];
        Assert.Equal(BlkDriver.Ok, rig.Blk.Read(2, read));
        Assert.Equal(rig.Disk.Bytes[1024..3072], read);
    }
}
