namespace Vmm.Buses;

/// <summary>
/// The I/O ports. Immutable, so any vCPU thread may use it at any time; what a device needs to lock, it locks.
/// </summary>
public sealed class PortBus
{
    private readonly AddressMap<IPortDevice> _map;

    /// <summary>Builds the bus.</summary>
    /// <param name="ranges">The devices' ports, in any order.</param>
    /// <exception cref="ArgumentException">A range is empty, overlaps another, or ends above port 0xFFFF.</exception>
    public PortBus(params IEnumerable<PortRange> ranges) =>
        _map = new AddressMap<IPortDevice>(
            ranges.Select(r => ((ulong)r.Start, (ulong)r.Count, r.Device)), ushort.MaxValue);

    /// <summary>
    /// Answers an IN. Ports without a device read as all ones: nothing drives the bus, as on an ISA machine.
    /// </summary>
    /// <param name="port">First port.</param>
    /// <param name="data">1, 2 or 4 bytes to fill.</param>
    /// <returns>Whether a device answered.</returns>
    public bool Read(ushort port, Span<byte> data)
    {
        IPortDevice? device = _map.Find(port, data.Length, out ulong offset);
        if (device is null) data.Fill(0xFF);
        else device.Read((ushort)offset, data);
        return device is not null;
    }

    /// <summary>Delivers an OUT. Ports without a device swallow it.</summary>
    /// <param name="port">First port.</param>
    /// <param name="data">1, 2 or 4 bytes.</param>
    /// <returns>Whether a device took it.</returns>
    public bool Write(ushort port, ReadOnlySpan<byte> data)
    {
        IPortDevice? device = _map.Find(port, data.Length, out ulong offset);
        device?.Write((ushort)offset, data);
        return device is not null;
    }
}
