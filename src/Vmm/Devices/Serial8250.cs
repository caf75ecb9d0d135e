using Virtio;
using Vmm.Buses;

namespace Vmm.Devices;

/// <summary>
/// A serial port: a PC16550D UART that sends and receives without delay, on the eight ports of a PC's COM port.
/// </summary>
/// <remarks>
/// Register and bit names are the data sheet's (National Semiconductor PC16550D, table II). As on a PC, OUT2 gates the
/// interrupt. Received bytes that find the FIFO full wait behind it, so nothing overruns; the receive time-out elapses
/// at once. Thread-safe: vCPU threads use the ports, any thread sends to it.
/// </remarks>
/// <param name="interrupt">The port's line.</param>
/// <param name="output">Where the guest's output goes.</param>
public sealed class Serial8250(IInterruptLine interrupt, ISerialOutput output) : IPortDevice
{
    /// <summary>How many received bytes wait for the guest at most, behind the FIFO.</summary>
    public const int BacklogLimit = 1 << 20;

    private const int FifoSize = 16;
    private const ushort Break = 0x100; // beside a received byte of 0

    private const byte IerReceived = 0x01, IerTransmitted = 0x02, IerLineStatus = 0x04, IerModemStatus = 0x08;
    private const byte IirNone = 0x01, IirModemStatus = 0x00, IirTransmitted = 0x02, IirReceived = 0x04;
    private const byte IirLineStatus = 0x06, IirTimeout = 0x0C, IirFifosEnabled = 0xC0;
    private const byte FcrEnable = 0x01, FcrClearReceiver = 0x02, FcrKept = 0xC9;
    private const byte LcrDivisorLatch = 0x80;
    private const byte McrDtr = 0x01, McrRts = 0x02, McrOut1 = 0x04, McrOut2 = 0x08, McrLoop = 0x10, McrAll = 0x1F;
    private const byte LsrDataReady = 0x01, LsrOverrun = 0x02, LsrBreak = 0x10, LsrTransmitterIdle = 0x60;
    private const byte MsrCts = 0x10, MsrDsr = 0x20, MsrRing = 0x40, MsrCarrier = 0x80;
    private const byte MsrDeltaCts = 0x01, MsrDeltaDsr = 0x02, MsrTrailingRing = 0x04, MsrDeltaCarrier = 0x08;

    private readonly Lock _gate = new();
    private readonly Queue<ushort> _fifo = new(FifoSize);
    private readonly Queue<ushort> _backlog = new();
    private byte _ier, _fcr, _lcr, _mcr, _modemDelta, _scratch, _lineErrors;
    private ushort _divisor = Serial8250State.ResetDivisor;
    private bool _transmitPending;
    private bool _lineHigh;

    private bool Looping => (_mcr & McrLoop) != 0;

    private int Capacity => (_fcr & FcrEnable) != 0 ? FifoSize : 1;

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
            int taken = Math.Min(bytes.Length, BacklogLimit - _backlog.Count);
            foreach (byte b in bytes[..taken]) _backlog.Enqueue(b);
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
            if (_backlog.Count >= BacklogLimit) return false;
            _backlog.Enqueue(Break);
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
            ushort[] received = [.. _fifo, .. _backlog];
            return new Serial8250State
            {
                InterruptEnable = _ier,
                FifoControl = _fcr,
                LineControl = _lcr,
                ModemControl = _mcr,
                ModemDelta = _modemDelta,
                Scratch = _scratch,
                Divisor = _divisor,
                TransmitPending = _transmitPending,
                LineErrors = _lineErrors,
                Received = Array.ConvertAll(received, entry => (byte)entry),
                Breaks = [.. Enumerable.Range(0, received.Length).Where(i => received[i] == Break)],
                FifoCount = _fifo.Count,
            };
        }
    }

    /// <summary>
    /// Takes a saved state over. When the port's line is high then, an edge is sent again, in case the one before was
    /// still on its way when the machine was saved: so load the interrupt controllers first.
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
            _transmitPending = state.TransmitPending;
            _lineErrors = state.LineErrors;
            _fifo.Clear();
            _backlog.Clear();
            for (int i = 0; i < state.Received.Length; i++)
            {
                ushort entry = Array.BinarySearch(state.Breaks, i) >= 0 ? Break : state.Received[i];
                (i < state.FifoCount ? _fifo : _backlog).Enqueue(entry);
            }

            _lineHigh = false;
            UpdateLine();
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
                return (byte)(source | ((_fcr & FcrEnable) != 0 ? IirFifosEnabled : 0));
            case 3: return _lcr;
            case 4: return _mcr;
            case 5:
                byte line = (byte)(LsrTransmitterIdle | _lineErrors | (_fifo.Count > 0 ? LsrDataReady : 0));
                _lineErrors = 0;
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
            case 1:
                // The transmitter is always empty, so allowing its interrupt is enough to cause it (data sheet §8.4).
                bool allowed = (value & IerTransmitted) != 0;
                _transmitPending = allowed && (_transmitPending || (_ier & IerTransmitted) == 0);
                _ier = (byte)(value & 0x0F);
                break;
            case 2: WriteFifoControl(value); break;
            case 3: _lcr = value; break;
            case 4: WriteModemControl(value); break;
            case 7: _scratch = value; break;
            default: break; // LSR and MSR are for reading
        }
    }

    private void Transmit(byte value)
    {
        if (!Looping) output.Write([value]);
        else if (_fifo.Count < Capacity) Surface(value);
        else _lineErrors |= LsrOverrun;
        // Sent already, so the transmitter is empty again. Unread, the interrupt stays pending: no second edge for it.
        if ((_ier & IerTransmitted) != 0) _transmitPending = true;
    }

    private byte TakeReceived()
    {
        if (!_fifo.TryDequeue(out ushort taken)) return 0;
        if (_fifo.Count == 0) Fill();
        else if (_fifo.Peek() == Break) _lineErrors |= LsrBreak;
        return (byte)taken;
    }

    // Every batch is an edge of its own. A guest that leaves its handler with bytes unread (Linux gives up after some
    // hundred rounds of a long paste) is called again by the edge of the batch it was reading.
    private void Fill()
    {
        if (Looping || _backlog.Count == 0) return;
        while (_fifo.Count < Capacity && _backlog.TryDequeue(out ushort entry)) Surface(entry);
        _lineHigh = false;
    }

    // Line errors belong to the byte at the FIFO's top and show when it gets there (data sheet §8.5).
    private void Surface(ushort entry)
    {
        if (_fifo.Count == 0 && entry == Break) _lineErrors |= LsrBreak;
        _fifo.Enqueue(entry);
    }

    private void WriteFifoControl(byte value)
    {
        bool toggled = ((value ^ _fcr) & FcrEnable) != 0;
        bool enabled = (value & FcrEnable) != 0;
        if (toggled || (enabled && (value & FcrClearReceiver) != 0))
        {
            _fifo.Clear();
            _lineErrors = 0;
        }

        _fcr = enabled ? (byte)(value & FcrKept) : (byte)0;
        if (_fifo.Count == 0) Fill();
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
        if (_fifo.Count == 0) Fill();
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
        if ((_ier & IerLineStatus) != 0 && _lineErrors != 0) return IirLineStatus;
        if ((_ier & IerReceived) != 0 && _fifo.Count > 0) return _fifo.Count >= Trigger() ? IirReceived : IirTimeout;
        if (_transmitPending) return IirTransmitted;
        return (_ier & IerModemStatus) != 0 && _modemDelta != 0 ? IirModemStatus : IirNone;
    }

    private int Trigger()
    {
        if ((_fcr & FcrEnable) == 0) return 1;
        return (_fcr >> 6) switch { 0 => 1, 1 => 4, 2 => 8, _ => 14 };
    }

    private void UpdateLine()
    {
        bool high = (_mcr & (McrOut2 | McrLoop)) == McrOut2 && Identify() != IirNone;
        if (high && !_lineHigh) interrupt.Raise();
        _lineHigh = high;
    }
}
