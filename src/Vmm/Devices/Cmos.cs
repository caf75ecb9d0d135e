using CowMemory;
using Vmm.Buses;

namespace Vmm.Devices;

/// <summary>The clock and its battery-backed memory: an MC146818 behind an index and a data port.</summary>
/// <remarks>
/// The clock follows the host's UTC plus what the guest has set it ahead. It has no interrupts (and the ACPI tables
/// give it none): alarms never fire, while the update-ended flag can be polled. Memory beyond the clock's registers is
/// plain storage, filled with what PC firmware looks for there. Thread-safe.
/// </remarks>
public sealed class Cmos : IPortDevice
{
    /// <summary>The register that holds the century, in the clock's own number format.</summary>
    public const byte CenturyRegister = 0x32;

    private const byte Seconds = 0, Minutes = 2, Hours = 4, DayOfWeek = 6, Day = 7, Month = 8, Year = 9;
    private const byte RegisterA = 10, RegisterB = 11, RegisterC = 12, RegisterD = 13;
    private const byte UpdateInProgress = 0x80, DividerMask = 0x60, DividerReset = 0x60;
    private const byte SetBit = 0x80, BinaryBit = 0x04, Hours24Bit = 0x02, PmBit = 0x80;
    private const byte UpdateEnded = 0x10, ValidRam = 0x80;
    private const int Size = 128;
    private const int FirstYear = 1970, LastYear = 2399;

    // UIP rises at least this long before an update (MC146818 data sheet, "update cycle"): who sees it low has that
    // long to read.
    private static readonly long s_updateTicks = TimeSpan.FromMicroseconds(244).Ticks;

    private readonly Lock _gate = new();
    private readonly TimeProvider _clock;
    private readonly byte[] _memory = new byte[Size];
    private byte _index;
    private long _offsetTicks;
    private long _secondSeen;

    /// <summary>Makes a clock that shows the host's time.</summary>
    /// <param name="clock">The host's clock.</param>
    /// <param name="layout">The machine's memory, whose size firmware reads here.</param>
    /// <param name="cpuCount">vCPUs, which firmware counts here.</param>
    public Cmos(TimeProvider clock, MemoryLayout layout, int cpuCount)
    {
        _clock = clock;
        _memory[RegisterA] = 0x26; // 32,768 Hz crystal, 1,024 Hz periodic rate: the PC's setting
        _memory[RegisterB] = Hours24Bit;
        _secondSeen = NowTicks() / TimeSpan.TicksPerSecond;

        // The sizes a PC BIOS keeps: KiB below 640 KiB, KiB above 1 MiB (at most 63 MiB of them), 64 KiB units above 16
        // MiB and above 4 GiB; and SeaBIOS's count of further CPUs.
        const ulong KiB = 1024, MiB = 1024 * KiB, Unit = 64 * KiB;
        ulong low = layout.Regions[0].Length;
        Store(0x15, 640);
        ulong extended = low > MiB ? Math.Min((low - MiB) / KiB, 63 * KiB) : 0;
        Store(0x17, extended);
        Store(0x30, extended);
        Store(0x34, low > 16 * MiB ? Math.Min((low - (16 * MiB)) / Unit, ushort.MaxValue) : 0);
        ulong high = layout.SizeBytes - low;
        Store(0x5B, high / Unit);
        _memory[0x5D] = (byte)(high / Unit >> 16);
        _memory[0x5F] = (byte)(cpuCount - 1);
    }

    private bool Held => (_memory[RegisterB] & SetBit) != 0;

    /// <inheritdoc/>
    public void Read(ushort offset, Span<byte> data)
    {
        lock (_gate)
        {
            // The index port cannot be read on a PC; what floats there is all ones.
            for (int i = 0; i < data.Length; i++) data[i] = offset + i == 1 ? ReadRegister(_index & 0x7F) : (byte)0xFF;
        }
    }

    /// <inheritdoc/>
    public void Write(ushort offset, ReadOnlySpan<byte> data)
    {
        lock (_gate)
        {
            for (int i = 0; i < data.Length; i++)
            {
                if (offset + i == 0) _index = data[i];
                else WriteRegister(_index & 0x7F, data[i]);
            }
        }
    }

    /// <summary>The device at rest.</summary>
    /// <param name="memory">Where its bytes go; null for an array of its own.</param>
    public CmosState Save(byte[]? memory = null)
    {
        memory ??= new byte[Size];
        lock (_gate)
        {
            _memory.CopyTo(memory, 0);
            return new CmosState { Index = _index, Memory = memory, OffsetTicks = _offsetTicks };
        }
    }

    /// <summary>
    /// Takes a saved state over. The clock goes on from the host's time now, not from the time of the save.
    /// </summary>
    /// <param name="state">From <see cref="Save"/>.</param>
    /// <exception cref="ArgumentException">It is not 128 bytes.</exception>
    public void Load(CmosState state)
    {
        if (state.Memory?.Length != Size) throw new ArgumentException($"CMOS memory has {Size} bytes", nameof(state));
        lock (_gate)
        {
            _index = state.Index;
            state.Memory.CopyTo(_memory, 0);
            _offsetTicks = state.OffsetTicks;
            _secondSeen = NowTicks() / TimeSpan.TicksPerSecond;
        }
    }

    private static bool IsTime(int register) =>
        register is Seconds or Minutes or Hours or (>= DayOfWeek and <= Year) or CenturyRegister;

    private byte ReadRegister(int register)
    {
        if (IsTime(register) && !Held) ShowTime();
        switch (register)
        {
            case RegisterA:
                bool updating = !Held && (_memory[RegisterA] & DividerMask) != DividerReset
                    && NowTicks() % TimeSpan.TicksPerSecond >= TimeSpan.TicksPerSecond - s_updateTicks;
                return (byte)(_memory[RegisterA] | (updating ? UpdateInProgress : 0));
            case RegisterC:
                long second = NowTicks() / TimeSpan.TicksPerSecond;
                bool ended = !Held && second != _secondSeen;
                _secondSeen = second;
                return ended ? UpdateEnded : (byte)0;
            case RegisterD:
                return ValidRam;
            default:
                return _memory[register];
        }
    }

    private void WriteRegister(int register, byte value)
    {
        switch (register)
        {
            case RegisterA:
                _memory[RegisterA] = (byte)(value & ~UpdateInProgress);
                break;
            case RegisterB:
                bool held = Held;
                if (!held) ShowTime();
                _memory[RegisterB] = value;
                if (held && !Held) AdoptTime();
                break;
            case RegisterC or RegisterD:
                break;
            default:
                if (IsTime(register) && !Held)
                {
                    ShowTime();
                    _memory[register] = value;
                    AdoptTime();
                }
                else
                {
                    _memory[register] = value;
                }

                break;
        }
    }

    private long NowTicks() => _clock.GetUtcNow().Ticks + _offsetTicks;

    private void ShowTime()
    {
        DateTime now = new(NowTicks(), DateTimeKind.Utc);
        _memory[Seconds] = Encode(now.Second);
        _memory[Minutes] = Encode(now.Minute);
        bool all24 = (_memory[RegisterB] & Hours24Bit) != 0;
        _memory[Hours] = all24
            ? Encode(now.Hour)
            : (byte)(Encode(now.Hour % 12 == 0 ? 12 : now.Hour % 12) | (now.Hour >= 12 ? PmBit : 0));
        _memory[DayOfWeek] = Encode((int)now.DayOfWeek + 1);
        _memory[Day] = Encode(now.Day);
        _memory[Month] = Encode(now.Month);
        _memory[Year] = Encode(now.Year % 100);
        _memory[CenturyRegister] = Encode(now.Year / 100);
    }

    // A date that does not exist, or centuries away, leaves the clock as it was: the guest's business, no reason to
    // stop.
    private void AdoptTime()
    {
        int hours = _memory[Hours];
        if ((_memory[RegisterB] & Hours24Bit) != 0) hours = Decode((byte)hours);
        else hours = (Decode((byte)(hours & ~PmBit)) % 12) + ((hours & PmBit) != 0 ? 12 : 0);
        int minutes = Decode(_memory[Minutes]), seconds = Decode(_memory[Seconds]);
        int year = (Decode(_memory[CenturyRegister]) * 100) + Decode(_memory[Year]);
        int month = Decode(_memory[Month]), day = Decode(_memory[Day]);
        bool exists = year is >= FirstYear and <= LastYear && month is >= 1 and <= 12 && day >= 1
            && day <= DateTime.DaysInMonth(year, month) && hours < 24 && minutes < 60 && seconds < 60;
        if (!exists) return;
        long ticks = new DateTime(year, month, day, hours, minutes, seconds, DateTimeKind.Utc).Ticks;
        _offsetTicks = ticks - _clock.GetUtcNow().Ticks;
    }

    private byte Encode(int value) =>
        (byte)((_memory[RegisterB] & BinaryBit) != 0 ? value : ((value / 10) << 4) | (value % 10));

    private int Decode(byte value) =>
        (_memory[RegisterB] & BinaryBit) != 0 ? value : ((value >> 4) * 10) + (value & 0xF);

    private void Store(int register, ulong value)
    {
        _memory[register] = (byte)value;
        _memory[register + 1] = (byte)(value >> 8);
    }
}
