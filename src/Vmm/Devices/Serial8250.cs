using Virtio;
using Vmm.Buses;
using static Vmm.Devices.Uart16550;

namespace Vmm.Devices;

/// <summary>A serial port: a PC16550D UART as fast as its guest, on the eight ports of a PC's COM port.</summary>
/// <remarks>
/// <para>
/// As on a PC, OUT2 gates the interrupt. Received bytes that find the FIFO full wait behind it, so nothing overruns;
/// the receive time-out elapses at once. Thread-safe: vCPU threads use the ports, any thread sends to it.
/// </para>
/// <para>
/// Nothing here takes time, but a port that is always ready would hold its guest in the interrupt handler, with
/// interrupts off, for as long as there is anything to send or receive: Linux stays while the port reports work, for up
/// to 128 KiB of it. So the next batch of input, and the transmitter's readiness after a batch of output, come when the
/// handler has read that nothing is pending; an edge, sent ahead, sees to it that it reads that.
/// </para>
/// </remarks>
/// <param name="interrupt">The port's line.</param>
/// <param name="output">Where the guest's output goes.</param>
public sealed class Serial8250(IInterruptLine interrupt, ISerialOutput output) : IPortDevice
{
    /// <summary>
    /// How many received bytes wait for the guest at most, behind the FIFO. They are part of the state, byte by byte, so saving and
    /// loading them is part of a pause: a guest that does not read must not make it long.
    /// </summary>
    public const int BacklogLimit = 64 << 10;

    private readonly Lock _gate = new();
    private readonly SerialInput _input = new();
    private byte _ier, _fcr, _lcr, _mcr, _modemDelta, _scratch;
    private ushort _divisor = Serial8250State.ResetDivisor;
    private bool _transmitPending, _transmitDue;
    private bool _lineHigh;
    private int _emptyLooks;

    private bool GateOpen => (_mcr & (McrOut2 | McrLoop)) == McrOut2;

    private bool Looping => (_mcr & McrLoop) != 0;

    private bool Fifos => (_fcr & FcrEnable) != 0;

    private bool InputDue => !Looping && _input.IsDue;

    /// <inheritdoc/>
    public void Read(ushort offset, Span<byte> data)
    {
        lock (_gate)
        {
            for (int i = 0; i < data.Length; i++) data[i] = ReadRegister(offset + i);
            UpdateLine();
        }
    }

    /// <inheritdoc/>
    public void Write(ushort offset, ReadOnlySpan<byte> data)
    {
        lock (_gate)
        {
            for (int i = 0; i < data.Length; i++)
            {
                WriteRegister(offset + i, data[i]);
                UpdateLine();
            }
        }
    }

    /// <summary>Sends bytes to the guest. Any thread; never blocks.</summary>
    /// <param name="bytes">What arrives at the port.</param>
    /// <returns>How many were taken: fewer than given once <see cref="BacklogLimit"/> bytes wait unread.</returns>
    public int Receive(ReadOnlySpan<byte> bytes)
    {
        lock (_gate)
        {
            int taken = _input.Accept(bytes);
            Fill();
            UpdateLine();
            return taken;
        }
    }

    /// <summary>
    /// Sends a break, in order with the bytes around it. To a Linux console port that allows it, a break and a letter
    /// are a SysRq. Any thread; never blocks.
    /// </summary>
    /// <returns>False, and nothing sent, once <see cref="BacklogLimit"/> bytes wait unread.</returns>
    public bool SendBreak()
    {
        lock (_gate)
        {
            if (_input.Room == 0) return false;
            _input.AcceptBreak();
            Fill();
            UpdateLine();
            return true;
        }
    }

    /// <summary>The port at rest. Call it with all vCPUs stopped.</summary>
    public Serial8250State Save()
    {
        lock (_gate)
        {
            (byte[] received, int[] breaks) = _input.Save();
            return new Serial8250State
            {
                InterruptEnable = _ier,
                FifoControl = _fcr,
                LineControl = _lcr,
                ModemControl = _mcr,
                ModemDelta = _modemDelta,
                Scratch = _scratch,
                Divisor = _divisor,
                TransmitPending = _transmitPending || _transmitDue,
                LineErrors = _input.Errors,
                Received = received,
                Breaks = breaks,
                FifoCount = _input.Count,
            };
        }
    }

    /// <summary>
    /// Takes a saved state over. When the port has something to report then, an edge is sent again, in case the one
    /// before was still on its way when the machine was saved: so load the interrupt controllers first.
    /// </summary>
    /// <param name="state">From <see cref="Save"/>.</param>
    public void Load(Serial8250State state)
    {
        lock (_gate)
        {
            _ier = state.InterruptEnable;
            _fcr = state.FifoControl;
            _lcr = state.LineControl;
            _mcr = state.ModemControl;
            _modemDelta = state.ModemDelta;
            _scratch = state.Scratch;
            _divisor = state.Divisor;
            (_transmitPending, _transmitDue) = (state.TransmitPending, false);
            _input.Load(state.Received, state.Breaks, state.FifoCount, state.LineErrors);
            _emptyLooks = 0;
            _lineHigh = false;
            UpdateLine();
            if (InputDue) Announce();
        }
    }

    private byte ReadRegister(int register)
    {
        bool latch = (_lcr & LcrDivisorLatch) != 0;
        switch (register)
        {
            case 0: return latch ? (byte)_divisor : TakeReceived();
            case 1: return latch ? (byte)(_divisor >> 8) : _ier;
            case 2:
                byte source = Identify();
                if (source == IirTransmitted) _transmitPending = false;
                else if (source == IirNone) Settle();
                return (byte)(source | (Fifos ? IirFifosEnabled : 0));
            case 3: return _lcr;
            case 4: return _mcr;
            case 5:
                byte line = (byte)(LsrTransmitterIdle | _input.Errors | (_input.Count > 0 ? LsrDataReady : 0));
                _input.Errors = 0;
                // A handler looks once before it leaves; who looks again is waiting for input without interrupts.
                if (InputDue && ++_emptyLooks > 1) Fill();
                return line;
            case 6:
                byte modem = (byte)(ModemLines() | _modemDelta);
                _modemDelta = 0;
                return modem;
            default: return _scratch;
        }
    }

    private void WriteRegister(int register, byte value)
    {
        bool latch = (_lcr & LcrDivisorLatch) != 0;
        switch (register)
        {
            case 0 when latch: _divisor = (ushort)((_divisor & 0xFF00) | value); break;
            case 0: Transmit(value); break;
            case 1 when latch: _divisor = (ushort)((_divisor & 0x00FF) | (value << 8)); break;
            case 1: WriteInterruptEnable(value); break;
            case 2: WriteFifoControl(value); break;
            case 3: _lcr = value; break;
            case 4: WriteModemControl(value); break;
            case 7: _scratch = value; break;
            default: break; // LSR and MSR are for reading
        }
    }

    private void Transmit(byte value)
    {
        if (Looping) _input.Loop(value, Fifos);
        else output.Write([value]);
        if ((_ier & IerTransmitted) == 0 || _transmitPending || _transmitDue) return;
        _transmitDue = true;
        Announce();
    }

    private byte TakeReceived()
    {
        byte taken = _input.Take();
        if (!InputDue) return taken;
        if ((_ier & IerReceived) != 0) Announce();
        else Fill();
        return taken;
    }

    // The handler has seen that nothing is pending: what was due comes now, and with it an edge.
    private void Settle()
    {
        if (_transmitDue) (_transmitDue, _transmitPending) = (false, true);
        if (InputDue) Fill();
    }

    // Whatever comes in is an edge of its own, also on top of what is there: a guest that has left its handler with
    // bytes unread is called again.
    private void Fill()
    {
        if (Looping || !_input.Fill(Fifos)) return;
        _lineHigh = false;
        _emptyLooks = 0;
    }

    private void WriteInterruptEnable(byte value)
    {
        // The transmitter is always empty, so allowing its interrupt is enough to cause it (data sheet §8.4).
        bool allowed = (value & IerTransmitted) != 0;
        _transmitPending = allowed && (_transmitPending || (_ier & IerTransmitted) == 0);
        _transmitDue &= allowed;
        _ier = (byte)(value & IerAll);
        if ((_ier & IerReceived) == 0 && InputDue) Fill();
    }

    private void WriteFifoControl(byte value)
    {
        bool enabled = (value & FcrEnable) != 0;
        if (enabled != Fifos || (enabled && (value & FcrClearReceiver) != 0)) _input.Clear();
        _fcr = enabled ? (byte)(value & FcrKept) : (byte)0;
        if (InputDue) Fill();
    }

    private void WriteModemControl(byte value)
    {
        byte before = ModemLines();
        _mcr = (byte)(value & McrAll);
        byte now = ModemLines(), changed = (byte)(before ^ now);
        if ((changed & MsrCts) != 0) _modemDelta |= MsrDeltaCts;
        if ((changed & MsrDsr) != 0) _modemDelta |= MsrDeltaDsr;
        if ((changed & MsrCarrier) != 0) _modemDelta |= MsrDeltaCarrier;
        if ((changed & before & MsrRing) != 0) _modemDelta |= MsrTrailingRing;
        if (InputDue) Fill();
    }

    // Somebody is always connected, except in loopback, where the port hears itself (data sheet §8.6).
    private byte ModemLines()
    {
        if (!Looping) return MsrCts | MsrDsr | MsrCarrier;
        int lines = 0;
        if ((_mcr & McrRts) != 0) lines |= MsrCts;
        if ((_mcr & McrDtr) != 0) lines |= MsrDsr;
        if ((_mcr & McrOut1) != 0) lines |= MsrRing;
        if ((_mcr & McrOut2) != 0) lines |= MsrCarrier;
        return (byte)lines;
    }

    // The highest of the pending sources, in the order of the data sheet's table IV.
    private byte Identify()
    {
        if ((_ier & IerLineStatus) != 0 && _input.Errors != 0) return IirLineStatus;
        if ((_ier & IerReceived) != 0 && _input.Count > 0) return _input.Count >= Trigger() ? IirReceived : IirTimeout;
        if (_transmitPending) return IirTransmitted;
        return (_ier & IerModemStatus) != 0 && _modemDelta != 0 ? IirModemStatus : IirNone;
    }

    private int Trigger()
    {
        if (!Fifos) return 1;
        return (_fcr >> 6) switch { 0 => 1, 1 => 4, 2 => 8, _ => 14 };
    }

    private void UpdateLine()
    {
        bool high = GateOpen && Identify() != IirNone;
        if (high && !_lineHigh) interrupt.Raise();
        _lineHigh = high;
    }

    private void Announce()
    {
        if (GateOpen) interrupt.Raise();
    }
}
