using Vmm.Devices;

namespace Vmm.Tests.Machines;

/// <summary>Takes what a torture guest sends: bytes that count upwards. Several machines in turn write to it, one at a time.</summary>
internal sealed class TortureConsole : ISerialOutput
{
    private long _count;

    /// <summary>How many bytes have come.</summary>
    public long Count => Volatile.Read(ref _count);

    /// <summary>The first that was out of order, or null.</summary>
    public string? Wrong { get; private set; }

    public void Write(ReadOnlySpan<byte> bytes)
    {
        foreach (byte b in bytes)
        {
            if (b != (byte)_count) Wrong ??= $"byte {_count} of the guest's output is 0x{b:x2}";
            Volatile.Write(ref _count, _count + 1);
        }
    }

    /// <summary>Goes on where another one is.</summary>
    public void Continue(TortureConsole other) => Volatile.Write(ref _count, other.Count);
}
