using Vmm.Buses;

namespace Vmm.Devices;

/// <summary>
/// What is left of a PC's keyboard controller: the reset line (command 0xFE, or bit 0 of its output port) and an A20
/// gate that is always open. Nothing is plugged into it, and ACPI says it is absent; guests use it to reset.
/// Thread-safe.
/// </summary>
/// <remarks>
/// Claims ports 0x60 to 0x64; those between its two read as all ones (0x61 belongs to KVM's PIT, and never gets here).
/// </remarks>
/// <param name="power">Told about a reset.</param>
public sealed class I8042(IPowerControl power) : IPortDevice
{
    private const ushort DataPort = 0, CommandPort = 4;
    private const byte StatusOutputFull = 0x01, StatusSystemFlag = 0x04, StatusUnlocked = 0x10;
    private const byte CommandReadOutputPort = 0xD0, CommandWriteOutputPort = 0xD1, CommandPulseReset = 0xFE;
    private const byte OutputNoReset = 0x01, OutputA20 = 0x02;

    private readonly Lock _gate = new();
    private bool _outputFull, _outputPortNext;
    private byte _output;

    /// <inheritdoc/>
    public void Read(ushort offset, Span<byte> data)
    {
        lock (_gate)
        {
            for (int i = 0; i < data.Length; i++) data[i] = ReadPort(offset + i);
        }
    }

    /// <inheritdoc/>
    public void Write(ushort offset, ReadOnlySpan<byte> data)
    {
        lock (_gate)
        {
            for (int i = 0; i < data.Length; i++)
            {
                if (offset + i == DataPort) WriteData(data[i]);
                else if (offset + i == CommandPort) WriteCommand(data[i]);
            }
        }
    }

    /// <summary>The device at rest.</summary>
    public I8042State Save()
    {
        lock (_gate)
            return new I8042State { OutputFull = _outputFull, Output = _output, OutputPortNext = _outputPortNext };
    }

    /// <summary>Takes a saved state over.</summary>
    /// <param name="state">From <see cref="Save"/>.</param>
    public void Load(I8042State state)
    {
        lock (_gate) (_outputFull, _output, _outputPortNext) = (state.OutputFull, state.Output, state.OutputPortNext);
    }

    private byte ReadPort(int port)
    {
        switch (port)
        {
            case DataPort:
                _outputFull = false;
                return _output;
            case CommandPort:
                // The input buffer is never full: Linux waits for that before it sends the reset command.
                return (byte)(StatusSystemFlag | StatusUnlocked | (_outputFull ? StatusOutputFull : 0));
            default:
                return 0xFF;
        }
    }

    private void WriteData(byte value)
    {
        if (_outputPortNext && (value & OutputNoReset) == 0) power.RequestReset();
        _outputPortNext = false;
    }

    private void WriteCommand(byte command)
    {
        _outputPortNext = command == CommandWriteOutputPort;
        if (command == CommandReadOutputPort) (_output, _outputFull) = (OutputNoReset | OutputA20, true);
        else if (command == CommandPulseReset) power.RequestReset();
    }
}
