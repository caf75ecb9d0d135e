namespace Vmm.Devices;

/// <summary>
/// What a serial port has received and its guest not yet read: the FIFO, and behind it all that did not fit.
/// </summary>
internal sealed class SerialInput
{
    private const int FifoSize = 16;
    private const ushort Break = 0x100; // beside a received byte of 0

    private readonly Queue<ushort> _fifo = new(FifoSize);
    private readonly Queue<ushort> _backlog = new();

    /// <summary>Bytes in the FIFO.</summary>
    public int Count => _fifo.Count;

    /// <summary>How many bytes the backlog may still take. A loaded state may hold more than there may be here.</summary>
    public int Room => Math.Max(0, Serial8250.BacklogLimit - _backlog.Count);

    /// <summary>Whether the guest has read all the FIFO had, and there is more.</summary>
    public bool IsDue => _fifo.Count == 0 && _backlog.Count > 0;

    /// <summary>Error bits of the line status register that reading it clears.</summary>
    public byte Errors { get; set; }

    /// <summary>Takes bytes from outside, as many as there is room for.</summary>
    public int Accept(ReadOnlySpan<byte> bytes)
    {
        int taken = Math.Min(bytes.Length, Room);
        foreach (byte b in bytes[..taken]) _backlog.Enqueue(b);
        return taken;
    }

    /// <summary>Takes a break from outside.</summary>
    public void AcceptBreak() => _backlog.Enqueue(Break);

    /// <summary>Moves what fits from the backlog into the FIFO.</summary>
    /// <param name="fifos">Whether the guest has the FIFO on; without it, it holds one byte.</param>
    /// <returns>Whether anything came.</returns>
    public bool Fill(bool fifos)
    {
        bool came = false;
        while (HasSpace(fifos) && _backlog.TryDequeue(out ushort entry))
        {
            Surface(entry);
            came = true;
        }

        return came;
    }

    /// <summary>Takes a byte that the port sends to itself.</summary>
    public void Loop(byte value, bool fifos)
    {
        if (HasSpace(fifos)) Surface(value);
        else Errors |= Uart16550.LsrOverrun;
    }

    /// <summary>Gives the guest the next byte, or 0 if there is none.</summary>
    public byte Take()
    {
        if (!_fifo.TryDequeue(out ushort taken)) return 0;
        if (_fifo.TryPeek(out ushort next) && next == Break) Errors |= Uart16550.LsrBreak;
        return (byte)taken;
    }

    /// <summary>Drops what is in the FIFO.</summary>
    public void Clear()
    {
        _fifo.Clear();
        Errors = 0;
    }

    /// <summary>All bytes, the FIFO's first, and which of them stand for a break, by index.</summary>
    public (byte[] Bytes, int[] Breaks) Save()
    {
        if (_fifo.Count + _backlog.Count == 0) return ([], []); // allocates nothing
        byte[] bytes = new byte[_fifo.Count + _backlog.Count];
        List<int> breaks = [];
        int at = 0;
        foreach (Queue<ushort> queue in (ReadOnlySpan<Queue<ushort>>)[_fifo, _backlog])
        {
            foreach (ushort entry in queue)
            {
                if (entry == Break) breaks.Add(at);
                bytes[at++] = (byte)entry;
            }
        }

        return (bytes, [.. breaks]);
    }

    /// <summary>Takes over what <see cref="Save"/> gave, the first bytes of it into the FIFO.</summary>
    public void Load(byte[] bytes, int[] breaks, int fifoCount, byte errors)
    {
        _fifo.Clear();
        _backlog.Clear();
        int next = 0; // of the breaks, which are in order
        for (int i = 0; i < bytes.Length; i++)
        {
            bool isBreak = next < breaks.Length && breaks[next] == i;
            if (isBreak) next++;
            (i < fifoCount ? _fifo : _backlog).Enqueue(isBreak ? Break : bytes[i]);
        }

        Errors = errors;
    }

    private bool HasSpace(bool fifos) => _fifo.Count < (fifos ? FifoSize : 1);

    // An error belongs to the byte at the FIFO's top and shows when it gets there (data sheet §8.5).
    private void Surface(ushort entry)
    {
        if (_fifo.Count == 0 && entry == Break) Errors |= Uart16550.LsrBreak;
        _fifo.Enqueue(entry);
    }
}
