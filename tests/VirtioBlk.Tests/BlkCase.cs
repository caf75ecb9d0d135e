using System.Buffers.Binary;
using CowMemory;
using TestKit.Virtio;
using Xunit;

namespace VirtioBlk.Tests;

/// <summary>
/// A random request with the outcome that virtio 1.2 §5.2.6 prescribes, worked out on an array instead of a disk.
/// </summary>
internal sealed class BlkCase
{
    private readonly byte[] _readable; // header and what follows
    private readonly byte[] _writable; // what the device's part must hold afterwards, without the status

    private BlkCase(byte[] readable, byte[] writable, byte expected)
    {
        _readable = readable;
        _writable = writable;
        Expected = expected;
    }

    public byte Expected { get; }

    public static BlkCase Random(Random random, BlkDriver blk, byte[] disk)
    {
        uint type = random.Next(8) switch
        {
            0 or 1 => BlkDriver.In,
            2 or 3 => BlkDriver.Out,
            4 => BlkDriver.GetId,
            5 => BlkDriver.WriteZeroes,
            6 => BlkDriver.Flush,
            _ => (uint)random.Next(2, 40),
        };
        int sectors = disk.Length / 512;
        ulong sector = (ulong)(random.Next(6) == 0 ? random.Next(sectors - 4, sectors + 4) : random.Next(sectors - 8));
        int length = random.Next(6) == 0 ? random.Next(3000) : 512 * random.Next(5);
        byte[] header = blk.Header(type, sector);
        byte[] data = new byte[length];
        random.NextBytes(data);
        bool fits = length % 512 == 0 && (int)sector + (length / 512) <= sectors;
        byte verdict = fits ? BlkDriver.Ok : BlkDriver.IoError;
        switch (type)
        {
            case BlkDriver.In:
                if (fits) disk.AsSpan((int)sector * 512, length).CopyTo(data);
                return new BlkCase(header, data, verdict);
            case BlkDriver.Out:
                if (fits) data.CopyTo(disk.AsSpan((int)sector * 512));
                return new BlkCase([.. header, .. data], [], verdict);
            case BlkDriver.GetId:
                byte[] serial = new byte[random.Next(2) == 0 ? 20 : length];
                if (serial.Length == 20) "system0"u8.CopyTo(serial);
                return new BlkCase(header, serial, serial.Length == 20 ? BlkDriver.Ok : BlkDriver.IoError);
            case BlkDriver.WriteZeroes:
                return Zeroes(random, header, disk);
            case BlkDriver.Flush:
                return new BlkCase(header, data, BlkDriver.Ok);
            case BlkDriver.Discard:
                return new BlkCase(header, [], BlkDriver.IoError); // without a range
            default:
                return new BlkCase(header, data, BlkDriver.Unsupported);
        }
    }

    /// <summary>Sends it, cut into random pieces, and checks everything but the status.</summary>
    public byte Run(BlkRig rig, Random random)
    {
        byte[] before = new byte[_writable.Length + 1];
        random.NextBytes(before);
        before[^1] = BlkDriver.NoStatus;
        Gpa readable = rig.Memory.Place(_readable), writable = rig.Memory.Place(before);
        Gpa guard = rig.Memory.Place([0x55]);
        DriverBuffer[] chain =
        [
            .. Cut(readable, _readable.Length, false, random), .. Cut(writable, before.Length, true, random),
        ];
        ushort id = random.Next(2) == 0
            ? rig.Driver.Queue.Add(chain)
            : rig.Driver.Queue.AddIndirect(random.Next(chain.Length), chain);
        (byte status, uint used) = rig.Blk.Finish(id, writable + (ulong)_writable.Length);
        byte[] after = rig.Bytes(writable, before.Length);
        bool filled = status == BlkDriver.Ok && ((uint)_readable[0] is BlkDriver.In or BlkDriver.GetId);
        Assert.Equal(filled ? _writable : before[..^1], after[..^1]);
        Assert.Equal(_readable, rig.Bytes(readable, _readable.Length));
        Assert.Equal(filled || before.Length == 1 ? (uint)before.Length : 0, used);
        Assert.Equal(0x55, rig.Bytes(guard, 1)[0]);
        return status;
    }

    private static BlkCase Zeroes(Random random, byte[] header, byte[] disk)
    {
        int count = random.Next(1, 4);
        byte[] ranges = new byte[16 * count];
        byte verdict = BlkDriver.Ok;
        for (int i = 0; i < count; i++)
        {
            ulong sector = (ulong)random.Next((disk.Length / 512) + 1);
            uint sectors = (uint)random.Next(6), flags = random.Next(8) == 0 ? 2u : (uint)random.Next(2);
            BinaryPrimitives.WriteUInt64LittleEndian(ranges.AsSpan(16 * i), sector);
            BinaryPrimitives.WriteUInt32LittleEndian(ranges.AsSpan((16 * i) + 8), sectors);
            BinaryPrimitives.WriteUInt32LittleEndian(ranges.AsSpan((16 * i) + 12), flags);
            if (verdict != BlkDriver.Ok) continue; // the first thing wrong decides
            if (flags > 1) verdict = BlkDriver.Unsupported;
            else if ((int)(sector + sectors) > disk.Length / 512) verdict = BlkDriver.IoError;
        }

        for (int i = 0; verdict == BlkDriver.Ok && i < count; i++)
        {
            int start = 512 * (int)BinaryPrimitives.ReadUInt64LittleEndian(ranges.AsSpan(16 * i));
            disk.AsSpan(start, 512 * BinaryPrimitives.ReadInt32LittleEndian(ranges.AsSpan((16 * i) + 8))).Clear();
        }

        return new BlkCase([.. header, .. ranges], [], verdict);
    }

    private static List<DriverBuffer> Cut(Gpa start, int length, bool writable, Random random)
    {
        List<DriverBuffer> pieces = [];
        for (int at = 0; at < length;)
        {
            int rest = length - at;
            int take = pieces.Count > 10 || random.Next(3) == 0 ? rest : random.Next(rest + 1);
            pieces.Add(new DriverBuffer(start + (ulong)at, (uint)take, writable));
            at += take;
        }

        return pieces;
    }
}
