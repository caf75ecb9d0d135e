using Virtio;

namespace Vmm.Buses;

/// <summary>The windows of memory-mapped devices. Immutable, so any vCPU thread may use it at any time.</summary>
public sealed class MmioBus
{
    private readonly AddressMap<IMmioDevice> _map;

    /// <summary>Builds the bus.</summary>
    /// <param name="ranges">The devices' windows, in any order.</param>
    /// <exception cref="ArgumentException">A window is empty, overlaps another, or does not end.</exception>
    public MmioBus(params IEnumerable<MmioRange> ranges) =>
        _map = new AddressMap<IMmioDevice>(ranges.Select(r => (r.Start, r.Length, r.Device)), ulong.MaxValue);

    /// <summary>
    /// Answers a load. Addresses without a device read as all ones, as they do on real machines when no target claims
    /// the cycle: drivers take all ones for "no device here", while zeros can pass for a register that is fine.
    /// </summary>
    /// <param name="address">Guest-physical address.</param>
    /// <param name="data">1 to 8 bytes to fill.</param>
    /// <returns>Whether a device answered.</returns>
    public bool Read(ulong address, Span<byte> data)
    {
        IMmioDevice? device = _map.Find(address, data.Length, out ulong offset);
        if (device is null) data.Fill(0xFF);
        else device.Read(offset, data);
        return device is not null;
    }

    /// <summary>Delivers a store. Addresses without a device swallow it.</summary>
    /// <param name="address">Guest-physical address.</param>
    /// <param name="data">1 to 8 bytes.</param>
    /// <returns>Whether a device took it.</returns>
    public bool Write(ulong address, ReadOnlySpan<byte> data)
    {
        IMmioDevice? device = _map.Find(address, data.Length, out ulong offset);
        device?.Write(offset, data);
        return device is not null;
    }
}
