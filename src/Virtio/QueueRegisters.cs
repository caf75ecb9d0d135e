namespace Virtio;

/// <summary>The registers that describe the selected queue (virtio 1.2 §4.2.2).</summary>
internal static class QueueRegisters
{
    /// <summary>Takes a write to one of them; others are ignored.</summary>
    public static void Write(ref VirtqueueState queue, ulong offset, uint value, ushort maxSize)
    {
        switch (offset)
        {
            case 0x038:
                queue.Size = value <= maxSize ? (ushort)value : (ushort)0; // 0: unusable
                break;
            case 0x080:
                queue.DescriptorArea = WithLow(queue.DescriptorArea, value);
                break;
            case 0x084:
                queue.DescriptorArea = WithHigh(queue.DescriptorArea, value);
                break;
            case 0x090:
                queue.DriverArea = WithLow(queue.DriverArea, value);
                break;
            case 0x094:
                queue.DriverArea = WithHigh(queue.DriverArea, value);
                break;
            case 0x0a0:
                queue.DeviceArea = WithLow(queue.DeviceArea, value);
                break;
            case 0x0a4:
                queue.DeviceArea = WithHigh(queue.DeviceArea, value);
                break;
        }
    }

    private static ulong WithLow(ulong address, uint value) => (address & ~(ulong)uint.MaxValue) | value;

    private static ulong WithHigh(ulong address, uint value) => (uint)address | ((ulong)value << 32);
}
