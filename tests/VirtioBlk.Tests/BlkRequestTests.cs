using System.Text;
using CowMemory;
using TestKit.Virtio;
using Xunit;

namespace VirtioBlk.Tests;

/// <summary>What the device does with requests (virtio 1.2 §5.2.6).</summary>
public sealed class BlkRequestTests
{
    private const uint Unmap = 1;

    [Fact(DisplayName = "5.2.6: IN and OUT move sectors")]
    public void In_and_out()
    {
        using BlkRig rig = new();
        byte[] written = Encoding.ASCII.GetBytes(new string('x', 1024));
        Assert.Equal(BlkDriver.Ok, rig.Blk.Write(3, written));
        Assert.Equal(written, rig.Disk.Bytes[1536..2560]);
        byte[] read = new byte[2048];
        Assert.Equal(BlkDriver.Ok, rig.Blk.Read(2, read));
        Assert.Equal(rig.Disk.Bytes[1024..3072], read);
        Assert.Equal(new BlkCounters(2, 2048, 1024, 0, 0), rig.Device.Counters);
    }

    [Fact(DisplayName = "Data goes between guest memory and the backend without a copy")]
    public void No_copy()
    {
        using BlkRig rig = new();
        Gpa data = rig.Memory.Allocate(4096);
        rig.Blk.Send(BlkDriver.In, 0, data, 4096, writable: true);
        Assert.True(rig.Memory.Memory.TryVector(data, 4096, out Kvm.Interop.IoVec expected));
        Assert.Equal((1, expected.Base), rig.Disk.LastVectors);
        rig.Blk.Send(BlkDriver.Out, 0, data, 4096);
        Assert.Equal((1, expected.Base), rig.Disk.LastVectors);
    }

    [Theory(DisplayName = "2.7.8.2: the used length covers what was written without a gap")]
    [InlineData(BlkDriver.In, 0, 1024, true, BlkDriver.Ok, 1025)]
    [InlineData(BlkDriver.Out, 0, 1024, false, BlkDriver.Ok, 1)]
    [InlineData(BlkDriver.Flush, 0, 0, false, BlkDriver.Ok, 1)]
    [InlineData(BlkDriver.GetId, 0, 20, true, BlkDriver.Ok, 21)]
    [InlineData(BlkDriver.In, 4000, 1024, true, BlkDriver.IoError, 0)]
    [InlineData(BlkDriver.Out, 4000, 1024, false, BlkDriver.IoError, 1)]
    public void Used_length(uint type, ulong sector, int length, bool writable, byte status, uint used)
    {
        using BlkRig rig = new();
        Gpa data = rig.Memory.Allocate(length);
        Assert.Equal((status, used), rig.Blk.Send(type, sector, data, (uint)length, writable));
    }

    [Theory(DisplayName = "5.2.6.1: nothing beyond capacity, whatever the numbers")]
    [InlineData(2047, 512, true)]
    [InlineData(0, BlkRig.DiskBytes, true)]
    [InlineData(2048, 0, true)]
    [InlineData(2048, 512, false)]
    [InlineData(2047, 1024, false)]
    [InlineData(2049, 0, false)]
    [InlineData(1UL << 55, 512, false)] // times 512 is 2^64: 0 again
    [InlineData((1UL << 55) + 1, 512, false)]
    [InlineData(ulong.MaxValue, 512, false)]
    public void Capacity(ulong sector, int length, bool inside)
    {
        using BlkRig rig = new();
        byte[] before = [.. rig.Disk.Bytes];
        Gpa data = rig.Memory.Allocate(Math.Max(length, 1));
        byte expected = inside ? BlkDriver.Ok : BlkDriver.IoError;
        Assert.Equal(expected, rig.Blk.Send(BlkDriver.In, sector, data, (uint)length, writable: true).Status);
        if (!inside) Assert.Equal(0, rig.Disk.Reads);
        Assert.Equal(expected, rig.Blk.Send(BlkDriver.Out, sector, data, (uint)length).Status);
        if (!inside) Assert.Equal(before, rig.Disk.Bytes);
    }

    [Theory(DisplayName = "5.2.6.1: data of IN and OUT is a multiple of 512 bytes")]
    [InlineData(1)]
    [InlineData(511)]
    [InlineData(513)]
    [InlineData(1000)]
    public void Unaligned_length(int length)
    {
        using BlkRig rig = new();
        Gpa data = rig.Memory.Allocate(length);
        Assert.Equal(BlkDriver.IoError, rig.Blk.Send(BlkDriver.In, 0, data, (uint)length, writable: true).Status);
        Assert.Equal(BlkDriver.IoError, rig.Blk.Send(BlkDriver.Out, 0, data, (uint)length).Status);
        Assert.Equal((0, 0), (rig.Disk.Reads, rig.Disk.Writes));
        Assert.Equal(2, rig.Device.Counters.Refused);
    }

    [Fact(DisplayName = "5.2.6.2: FLUSH reaches the backend before it is answered; a write before it does not flush by itself")]
    public void Flush()
    {
        using BlkRig rig = new();
        rig.Blk.Write(0, new byte[512]);
        Assert.Equal(0, rig.Disk.Flushes);
        Assert.Equal(BlkDriver.Ok, rig.Blk.Send(BlkDriver.Flush, 0).Status);
        Assert.Equal(1, rig.Disk.Flushes);
    }

    [Fact(DisplayName = "5.2.6.2: neither FLUSH nor CONFIG_WCE negotiated: a completed write MUST be stable")]
    public void Write_through()
    {
        using BlkRig rig = new(unwanted: BlkFeatures.Flush | BlkFeatures.ConfigWriteCache);
        List<string> order = [];
        rig.Backend.Before = (operation, _) => order.Add(operation);
        Assert.Equal(BlkDriver.Ok, rig.Blk.Write(0, new byte[512]));
        Assert.Equal(BlkDriver.Ok, rig.Blk.Ranges(BlkDriver.WriteZeroes, [new(0, 1)]));
        rig.Blk.Read(0, new byte[512]);
        Assert.Equal(["Write", "Flush", "WriteZeroes", "Flush", "Read"], order);
        rig.Backend.Before = (operation, _) =>
        {
            if (operation == "Flush") throw new IOException("full");
        };
        Assert.Equal(BlkDriver.IoError, rig.Blk.Write(0, new byte[512]));
    }

    [Theory(DisplayName = "5.2.6: GET_ID gives the serial, padded with NUL to 20 bytes")]
    [InlineData("persistent0")]
    [InlineData("12345678901234567890")]
    [InlineData("")]
    public void Get_id(string serial)
    {
        using BlkRig rig = new(serial: serial);
        DriverBuffer first = rig.Writable(7), second = rig.Writable(13);
        Gpa status = rig.Blk.NewStatus();
        ushort id = rig.Driver.Queue.Add(rig.Header(BlkDriver.GetId), first, second, DriverBuffer.Writable(status, 1));
        Assert.Equal((BlkDriver.Ok, 21u), rig.Blk.Finish(id, status));
        byte[] answer = [.. rig.Bytes(first.Address, 7), .. rig.Bytes(second.Address, 13)];
        Assert.Equal(serial.PadRight(20, '\0'), Encoding.ASCII.GetString(answer));
    }

    [Theory(DisplayName = "5.2.6.1: GET_ID has 20 bytes of data")]
    [InlineData(0)]
    [InlineData(19)]
    [InlineData(21)]
    public void Get_id_of_another_length(int length)
    {
        using BlkRig rig = new();
        Gpa data = rig.Memory.Allocate(length + 1);
        Assert.Equal(BlkDriver.IoError, rig.Blk.Send(BlkDriver.GetId, 0, data, (uint)length, writable: true).Status);
    }

    [Fact(DisplayName = "5.2.6.2: DISCARD and WRITE_ZEROES, one range and several; zeroed ranges MUST read zeros")]
    public void Ranges()
    {
        using BlkRig rig = new();
        Assert.Equal(BlkDriver.Ok, rig.Blk.Ranges(BlkDriver.Discard, [new(8, 16), new(2047, 1)]));
        Assert.Equal([(4096L, 8192L), (2047 * 512L, 512L)], rig.Disk.Discards);
        DriverRange[] zeroed = [new(1, 2), new(5, 1, Unmap), new(7, 0)];
        Assert.Equal(BlkDriver.Ok, rig.Blk.Ranges(BlkDriver.WriteZeroes, zeroed));
        Assert.Equal([(512L, 1024L, false), (2560L, 512L, true)], rig.Disk.Zeroes);
        byte[] read = new byte[512 * 6];
        rig.Blk.Read(0, read);
        Assert.All(read[512..1536], b => Assert.Equal(0, b)); // MUST read zeros, unmap or not
        Assert.All(read[2560..3072], b => Assert.Equal(0, b));
        Assert.Contains(read[1536..2560], b => b != 0);
    }

    [Theory(DisplayName = "5.2.6.2: unknown flags, and unmap in a discard, MUST be UNSUPP")]
    [InlineData(BlkDriver.Discard, Unmap)]
    [InlineData(BlkDriver.Discard, 2u)]
    [InlineData(BlkDriver.Discard, 0x8000_0000)]
    [InlineData(BlkDriver.WriteZeroes, 2u)]
    [InlineData(BlkDriver.WriteZeroes, 3u)]
    [InlineData(BlkDriver.WriteZeroes, uint.MaxValue)]
    public void Range_flags(uint type, uint flags)
    {
        using BlkRig rig = new();
        Assert.Equal(BlkDriver.Unsupported, rig.Blk.Ranges(type, [new(0, 1), new(1, 1, flags)]));
        Assert.Empty(rig.Disk.Discards);
        Assert.Empty(rig.Disk.Zeroes);
    }

    [Theory(DisplayName = "5.2.6.1: ranges inside capacity and not longer than said")]
    [InlineData(2047, 2)]
    [InlineData(2048, 1)]
    [InlineData(0, 32769)]
    [InlineData(0, uint.MaxValue)]
    [InlineData(1UL << 55, 1)]
    [InlineData(ulong.MaxValue, uint.MaxValue)]
    public void Range_limits(ulong sector, uint count)
    {
        using BlkRig rig = new();
        Assert.Equal(BlkDriver.IoError, rig.Blk.Ranges(BlkDriver.Discard, [new(sector, count)]));
        Assert.Equal(BlkDriver.IoError, rig.Blk.Ranges(BlkDriver.WriteZeroes, [new(0, 1), new(sector, count)]));
        Assert.Empty(rig.Disk.Discards);
        Assert.Empty(rig.Disk.Zeroes);
    }

    [Theory(DisplayName = "5.2.6.1: range data is a multiple of 16 bytes, at most max_discard_seg of them")]
    [InlineData(0, BlkDriver.IoError)]
    [InlineData(15, BlkDriver.IoError)]
    [InlineData(24, BlkDriver.IoError)]
    [InlineData(16 * 16, BlkDriver.Ok)]
    [InlineData(16 * 17, BlkDriver.IoError)]
    public void Range_data(int length, byte status)
    {
        using BlkRig rig = new();
        Gpa data = rig.Memory.Allocate(length + 1);
        Assert.Equal(status, rig.Blk.Send(BlkDriver.Discard, 0, data, (uint)length).Status);
    }

    [Theory(DisplayName = "5.2.6.2: what the device does not know or offer (LIFETIME, SECURE_ERASE) is UNSUPP")]
    [InlineData(2u)] // SCSI
    [InlineData(10u)] // GET_LIFETIME, not offered
    [InlineData(14u)] // SECURE_ERASE, not offered
    [InlineData(0x8000_0000)]
    [InlineData(uint.MaxValue)]
    public void Unknown_types(uint type)
    {
        using BlkRig rig = new();
        Gpa data = rig.Memory.Allocate(512);
        Assert.Equal(BlkDriver.Unsupported, rig.Blk.Send(type, 0, data, 512, writable: true).Status);
        Assert.Equal(BlkDriver.Unsupported, rig.Blk.Send(type, 0).Status);
    }

    [Theory(DisplayName = "5.2.3: a command whose feature was not negotiated is UNSUPP")]
    [InlineData(BlkDriver.Discard, BlkFeatures.Discard)]
    [InlineData(BlkDriver.WriteZeroes, BlkFeatures.WriteZeroes)]
    public void Not_negotiated(uint type, ulong feature)
    {
        using BlkRig rig = new(unwanted: feature);
        Assert.Equal(BlkDriver.Unsupported, rig.Blk.Ranges(type, [new(0, 1)]));
    }

    [Theory(DisplayName = "5.2.6.2: with RO offered a write MUST be IOERR and change nothing, negotiated or not")]
    [InlineData(0UL)]
    [InlineData(BlkFeatures.ReadOnly)]
    public void Read_only(ulong unwanted)
    {
        using BlkRig rig = new(readOnly: true, unwanted: unwanted);
        Assert.Equal(BlkDriver.IoError, rig.Blk.Write(0, new byte[512]));
        Assert.Equal(BlkDriver.Unsupported, rig.Blk.Ranges(BlkDriver.Discard, [new(0, 1)]));
        Assert.Equal(0, rig.Disk.Writes);
        Assert.Equal(BlkDriver.Ok, rig.Blk.Read(0, new byte[512]));
        Assert.Equal(BlkDriver.Ok, rig.Blk.Send(BlkDriver.Flush, 0).Status);
    }

    [Theory(DisplayName = "A failing host is IOERR and counted, and the device goes on")]
    [InlineData(typeof(IOException))]
    [InlineData(typeof(ObjectDisposedException))]
    public void Host_errors(Type kind)
    {
        using BlkRig rig = new();
        rig.Backend.Before = (_, _) => throw (Exception)Activator.CreateInstance(kind, "on purpose")!;
        Assert.Equal(BlkDriver.IoError, rig.Blk.Write(0, new byte[512]));
        Assert.Equal(BlkDriver.IoError, rig.Blk.Read(0, new byte[512]));
        Assert.Equal(BlkDriver.IoError, rig.Blk.Send(BlkDriver.Flush, 0).Status);
        Assert.Equal(BlkDriver.IoError, rig.Blk.Ranges(BlkDriver.Discard, [new(0, 1)]));
        Assert.Equal(BlkDriver.IoError, rig.Blk.Ranges(BlkDriver.WriteZeroes, [new(0, 1)]));
        Assert.IsType(kind, rig.Device.LastHostError);
        rig.Backend.Before = null;
        Assert.Equal(BlkDriver.Ok, rig.Blk.Read(0, new byte[512]));
        Assert.Equal(new BlkCounters(6, 512, 0, 5, 0), rig.Device.Counters);
    }

    [Fact(DisplayName = "A read's pages are recorded for a live copy after the backend has written them")]
    public void Host_writes_are_recorded_afterwards()
    {
        using BlkRig rig = new();
        DirtyPages recorded = new(rig.Memory.Memory.Layout.SizeBytes), early = new(rig.Memory.Memory.Layout.SizeBytes);
        Gpa data = rig.Memory.Allocate(8192, 4096);
        Gpa status = rig.Memory.Allocate(1, 4096);
        rig.Memory.Memory.HostWrites = recorded;
        rig.Backend.Before = (_, _) => early.TakeFrom(recorded);
        DriverBuffer header = rig.Header(BlkDriver.In);
        ushort id = rig.Driver.Queue.Add(header, DriverBuffer.Writable(data, 8192), DriverBuffer.Writable(status, 1));
        Assert.Equal(BlkDriver.Ok, rig.Blk.Finish(id, status).Status);
        foreach (Gpa page in new[] { data, data + 4096, status, rig.Driver.Queue.Used })
        {
            ulong number = page.Value / 4096;
            Assert.True((recorded.Words[(int)(number / 64)] >> (int)(number % 64) & 1) != 0, $"{page} is missing");
        }
    }
}
