using System.Buffers.Binary;
using CowMemory;

namespace TestKit.Virtio;

/// <summary>A block driver's requests (virtio 1.2 §5.2.6) through a <see cref="MockDriver"/>, one at a time.</summary>
public sealed class BlkDriver(MockDriver driver)
{
    public const uint In = 0, Out = 1, Flush = 4, GetId = 8, Discard = 11, WriteZeroes = 13;
    public const byte Ok = 0, IoError = 1, Unsupported = 2;

    /// <summary>What the status byte holds before the device writes it.</summary>
    public const byte NoStatus = 0xEE;

    public MockDriver Driver => driver;

    /// <summary>Capacity, sectors.</summary>
    public ulong Capacity => driver.ReadConfig64(0);

    public byte[] Header(uint type, ulong sector)
    {
        byte[] header = new byte[16];
        BinaryPrimitives.WriteUInt32LittleEndian(header, type);
        BinaryPrimitives.WriteUInt64LittleEndian(header.AsSpan(8), sector);
        return header;
    }

    public Gpa NewStatus() => driver.Memory.Place([NoStatus]);

    public byte StatusAt(Gpa address) => driver.Memory.Memory.Read(address, 1)[0];

    /// <summary>Sends header, data and status as three descriptors, and waits.</summary>
    public (byte Status, uint Used) Send(
        uint type, ulong sector, Gpa data = default, uint length = 0, bool writable = false)
    {
        Gpa status = NewStatus();
        DriverBuffer head = DriverBuffer.Readable(driver.Memory.Place(Header(type, sector)), 16);
        DriverBuffer tail = DriverBuffer.Writable(status, 1);
        ushort id = length == 0
            ? driver.Queue.Add(head, tail)
            : driver.Queue.Add(head, new DriverBuffer(data, length, writable), tail);
        return Finish(id, status);
    }

    /// <summary>Sends any chain that is in the ring already, and waits for it.</summary>
    public (byte Status, uint Used) Finish(ushort id, Gpa status)
    {
        driver.Kick();
        UsedElement element = driver.WaitUsed();
        if (element.Id != id) throw new InvalidOperationException($"Chain {element.Id} came back instead of {id}");
        return (StatusAt(status), element.Length);
    }

    public byte Read(ulong sector, Span<byte> data)
    {
        Gpa buffer = driver.Memory.Allocate(data.Length);
        byte status = Send(In, sector, buffer, (uint)data.Length, writable: true).Status;
        driver.Memory.Memory.Read(buffer, data.Length).CopyTo(data);
        return status;
    }

    public byte Write(ulong sector, ReadOnlySpan<byte> data) =>
        Send(Out, sector, driver.Memory.Place(data), (uint)data.Length).Status;

    public byte Ranges(uint type, ReadOnlySpan<DriverRange> ranges)
    {
        byte[] data = new byte[16 * ranges.Length];
        for (int i = 0; i < ranges.Length; i++)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(data.AsSpan(16 * i), ranges[i].Sector);
            BinaryPrimitives.WriteUInt32LittleEndian(data.AsSpan((16 * i) + 8), ranges[i].Count);
            BinaryPrimitives.WriteUInt32LittleEndian(data.AsSpan((16 * i) + 12), ranges[i].Flags);
        }

        return Send(type, 0, driver.Memory.Place(data), (uint)data.Length).Status;
    }
}
