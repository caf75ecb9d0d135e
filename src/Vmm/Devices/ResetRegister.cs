using Vmm.Buses;

namespace Vmm.Devices;

/// <summary>
/// A one-byte port that remembers what is written to it and resets the machine when one of its bits goes from 0 to 1.
/// </summary>
public sealed class ResetRegister : IPortDevice
{
    private readonly IPowerControl _power;
    private readonly int _resetBit;
    private int _value;

    private ResetRegister(IPowerControl power, int resetBit, int value)
    {
        _power = power;
        _resetBit = resetBit;
        _value = value;
    }

    /// <summary>
    /// The reset control register of Intel's chipsets, port 0xCF9: bit 2 resets, bits 1 and 3 say how thoroughly.
    /// </summary>
    /// <param name="power">Told about a reset.</param>
    public static ResetRegister ChipsetControl(IPowerControl power) => new(power, resetBit: 0x04, value: 0);

    /// <summary>
    /// System control port A of the PS/2, port 0x92: bit 0 resets, bit 1 opens A20, which here is always open.
    /// </summary>
    /// <param name="power">Told about a reset.</param>
    public static ResetRegister SystemControlA(IPowerControl power) => new(power, resetBit: 0x01, value: 0x02);

    /// <inheritdoc/>
    public void Read(ushort offset, Span<byte> data) => data[0] = (byte)Volatile.Read(ref _value);

    /// <inheritdoc/>
    public void Write(ushort offset, ReadOnlySpan<byte> data)
    {
        int before = Interlocked.Exchange(ref _value, data[0]);
        if ((data[0] & ~before & _resetBit) != 0) _power.RequestReset();
    }

    /// <summary>The register at rest.</summary>
    public ResetRegisterState Save() => new() { Value = (byte)Volatile.Read(ref _value) };

    /// <summary>Takes a saved state over.</summary>
    /// <param name="state">From <see cref="Save"/>.</param>
    public void Load(ResetRegisterState state) => Volatile.Write(ref _value, state.Value);
}
