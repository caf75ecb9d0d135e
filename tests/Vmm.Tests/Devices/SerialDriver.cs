using Vmm.Devices;

namespace Vmm.Tests.Devices;

/// <summary>A serial port with a guest's hand on it.</summary>
internal sealed class SerialDriver : ISerialOutput
{
    public const ushort Data = 0, Ier = 1, Iir = 2, Fcr = 2, Lcr = 3, Mcr = 4, Lsr = 5, Msr = 6, Scr = 7;
    public const byte Out2 = 0x08, Loop = 0x10;

    public SerialDriver() => Port = new Serial8250(Line, this);

    public Serial8250 Port { get; }

    public CountingLine Line { get; } = new();

    public List<byte> Sent { get; } = [];

    public byte this[ushort register]
    {
        get
        {
            Span<byte> data = [0];
            Port.Read(register, data);
            return data[0];
        }
        set => Port.Write(register, [value]);
    }

    void ISerialOutput.Write(ReadOnlySpan<byte> bytes) => Sent.AddRange(bytes);

    /// <summary>
    /// Sets the port up as Linux does: FIFOs on with a trigger of 8, lines and gate up, given interrupts allowed.
    /// </summary>
    public SerialDriver Open(byte interrupts)
    {
        this[Lcr] = 0x03;
        this[Fcr] = 0x87;
        this[Mcr] = 0x0B;
        this[Ier] = interrupts;
        return this;
    }

    /// <summary>Runs an interrupt handler like Linux's: it reads all that is there, until nothing is pending.</summary>
    public byte[] Handle()
    {
        List<byte> bytes = [];
        while ((this[Iir] & 0x01) == 0) bytes.AddRange(Drain());
        return [.. bytes];
    }

    /// <summary>Reads while the line status says that there is something.</summary>
    public byte[] Drain()
    {
        List<byte> bytes = [];
        while ((this[Lsr] & 0x01) != 0) bytes.Add(this[Data]);
        return [.. bytes];
    }
}
