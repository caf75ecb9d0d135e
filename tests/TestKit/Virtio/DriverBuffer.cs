using CowMemory;

namespace TestKit.Virtio;

/// <summary>One buffer that a driver offers.</summary>
public readonly record struct DriverBuffer(Gpa Address, uint Length, bool DeviceWritable)
{
    public static DriverBuffer Readable(Gpa address, uint length) => new(address, length, false);

    public static DriverBuffer Writable(Gpa address, uint length) => new(address, length, true);
}
