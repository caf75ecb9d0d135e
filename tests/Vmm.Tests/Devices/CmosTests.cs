using CowMemory;
using Vmm.Devices;
using Xunit;

namespace Vmm.Tests.Devices;

public sealed class CmosTests
{
    private const ulong MiB = 1 << 20, GiB = 1 << 30;
    private readonly FakeClock _clock = new(new DateTimeOffset(2026, 11, 23, 17, 5, 9, 500, TimeSpan.Zero));
    private readonly Cmos _cmos;

    public CmosTests() => _cmos = Make(512 * MiB, 2);

    private byte this[byte register]
    {
        get => Get(_cmos, register);
        set => Set(_cmos, register, value);
    }

    [Fact]
    public void The_time_is_the_hosts_in_bcd()
    {
        Assert.Equal("2026-11-23 17:05:09 weekday 2", Bcd());
        Assert.Equal(0x02, this[0x0B]);
        Assert.Equal(0x80, this[0x0D]);
        _clock.Now = new DateTimeOffset(2027, 1, 3, 0, 0, 0, TimeSpan.Zero);
        Assert.Equal("2027-01-03 00:00:00 weekday 1", Bcd());
    }

    [Fact]
    public void Register_b_chooses_binary_and_twelve_hours()
    {
        this[0x0B] = 0x06;
        Assert.Equal((20, 26, 11, 23, 17, 5, 9), (this[0x32], this[9], this[8], this[7], this[4], this[2], this[0]));
        this[0x0B] = 0x04;
        Assert.Equal(0x80 | 5, this[4]);
        this[0x0B] = 0x00;
        Assert.Equal(0x85, this[4]);
        _clock.Now = new DateTimeOffset(2026, 11, 23, 0, 30, 0, TimeSpan.Zero);
        Assert.Equal(0x12, this[4]);
        _clock.Now = _clock.Now.AddHours(12);
        Assert.Equal(0x92, this[4]);
    }

    [Fact]
    public void Update_in_progress_shows_just_before_the_second_and_not_otherwise()
    {
        DateTimeOffset second = new(2026, 11, 23, 17, 5, 9, TimeSpan.Zero);
        (int, bool)[] moments = [(0, false), (999_700, false), (999_800, true), (999_999, true)];
        foreach ((int microseconds, bool updating) in moments)
        {
            _clock.Now = second.AddMicroseconds(microseconds);
            Assert.Equal(updating ? 0xA6 : 0x26, this[0x0A]);
        }

        this[0x0B] = 0x82;
        Assert.Equal(0x26, this[0x0A]); // held: no update comes
    }

    [Fact]
    public void Linux_reads_it_without_waiting()
    {
        // mc146818_avoid_UIP: the second, UIP, everything else, UIP and the second again; 244 µs without UIP are
        // promised.
        _clock.Now = new DateTimeOffset(2026, 11, 23, 17, 5, 59, TimeSpan.Zero).AddMicroseconds(999_750);
        Assert.Equal(0, this[0x0A] & 0x80);
        byte second = this[0];
        _clock.Now = _clock.Now.AddMicroseconds(243);
        Assert.Equal(second, this[0]);
        Assert.Equal(0x80, this[0x0A] & 0x80);
        _clock.Now = _clock.Now.AddMicroseconds(10);
        Assert.Equal((0x00, 0x06, 0), (this[0], this[2], this[0x0A] & 0x80));
    }

    [Fact]
    public void The_update_ended_flag_shows_every_new_second_once()
    {
        Assert.Equal(0, this[0x0C]);
        _clock.Now = _clock.Now.AddSeconds(1);
        Assert.Equal((0x10, 0), (this[0x0C], this[0x0C]));
        _clock.Now = _clock.Now.AddSeconds(5);
        Assert.Equal((0x10, 0), (this[0x0C], this[0x0C]));
    }

    [Fact]
    public void Setting_the_clock_the_way_linux_does_moves_it_and_it_goes_on()
    {
        this[0x0B] = 0x82;
        byte divider = this[0x0A];
        this[0x0A] = (byte)(divider | 0x70);
        (byte, byte)[] time = [(9, 0x31), (8, 0x02), (7, 0x28), (4, 0x23), (2, 0x59), (0, 0x50), (0x32, 0x20)];
        foreach ((byte register, byte value) in time) this[register] = value;
        _clock.Now = _clock.Now.AddSeconds(3); // it stands still meanwhile
        Assert.Equal(0x50, this[0]);
        this[0x0B] = 0x02;
        this[0x0A] = divider;
        _clock.Now = _clock.Now.AddSeconds(10);
        Assert.Equal("2031-03-01 00:00:00 weekday 7", Bcd());
    }

    [Fact]
    public void A_register_written_without_holding_the_clock_counts_too()
    {
        this[4] = 0x03;
        Assert.Equal("2026-11-23 03:05:09 weekday 2", Bcd());
    }

    [Theory]
    [InlineData(8, 0x13)]
    [InlineData(8, 0x00)]
    [InlineData(7, 0x31)] // November has 30
    [InlineData(4, 0x24)]
    [InlineData(2, 0xFF)]
    [InlineData(0x32, 0x99)]
    [InlineData(0x32, 0x00)]
    public void Times_that_do_not_exist_leave_the_clock_alone(byte register, byte value)
    {
        this[register] = value;
        Assert.Equal("2026-11-23 17:05:09 weekday 2", Bcd());
    }

    [Fact]
    public void Other_registers_are_memory_and_the_nmi_bit_is_not_part_of_the_index()
    {
        this[0x0F] = 0x0A;
        this[0x7F] = 0x77;
        Assert.Equal((0x0A, 0x77), (this[0x0F], this[0x7F]));
        _cmos.Write(0, [0x8F]);
        Span<byte> data = [0];
        _cmos.Read(1, data);
        Assert.Equal(0x0A, data[0]);
    }

    [Fact]
    public void A_word_to_the_index_port_sets_index_and_data()
    {
        _cmos.Write(0, [0x20, 0x99]);
        Assert.Equal(0x99, this[0x20]);
    }

    [Theory]
    [InlineData(128 * MiB, 0xFC00, 0x0700, 0)]
    [InlineData(32 * MiB, 31 * 1024, 0x0100, 0)]
    [InlineData(3 * GiB, 0xFC00, 0xBF00, 0)]
    [InlineData((3 * GiB) + 65536, 0xFC00, 0xBF00, 1)]
    [InlineData(6 * GiB, 0xFC00, 0xBF00, 0xC000)]
    [InlineData((3 * GiB) + (1024 * GiB), 0xFC00, 0xBF00, 0x100_0000 & 0xFF_FFFF)]
    public void Firmware_reads_the_memory_sizes(ulong size, int above1, int above16, int above4G)
    {
        Cmos cmos = Make(size, 4);
        Assert.Equal(640, Word(cmos, 0x15));
        Assert.Equal(above1, Word(cmos, 0x17));
        Assert.Equal(above1, Word(cmos, 0x30));
        Assert.Equal(above16, Word(cmos, 0x34));
        Assert.Equal(above4G, Word(cmos, 0x5B) | (Get(cmos, 0x5D) << 16));
        Assert.Equal(3, Get(cmos, 0x5F));
    }

    [Fact]
    public void State_goes_round_and_the_clock_goes_on_from_the_hosts_time()
    {
        this[4] = 0x03;
        this[0x0F] = 0x05;
        _cmos.Write(0, [0x8F]);
        CmosState state = StateJson.RoundTrip(_cmos.Save());
        _clock.Now = _clock.Now.AddMinutes(10);
        Cmos other = Make(512 * MiB, 2);
        other.Load(state);
        StateJson.AssertEqual(state, other.Save());
        Span<byte> data = [0];
        other.Read(1, data);
        Assert.Equal(0x05, data[0]);
        Assert.Equal((0x03, 0x15), (Get(other, 4), Get(other, 2)));
    }

    [Fact]
    public void A_held_clock_stays_held_through_a_save()
    {
        this[0x0B] = 0x82;
        this[2] = 0x44;
        Cmos other = Make(512 * MiB, 2);
        other.Load(StateJson.RoundTrip(_cmos.Save()));
        _clock.Now = _clock.Now.AddHours(1);
        Assert.Equal(0x44, Get(other, 2));
        Set(other, 0x0B, 0x02);
        Assert.Equal((0x17, 0x44), (Get(other, 4), Get(other, 2)));
    }

    [Fact]
    public void A_state_of_another_size_is_refused() =>
        Assert.Throws<ArgumentException>(() => _cmos.Load(new CmosState { Memory = new byte[64] }));

    private static byte Get(Cmos cmos, byte register)
    {
        cmos.Write(0, [register]);
        Span<byte> data = [0];
        cmos.Read(1, data);
        return data[0];
    }

    private static void Set(Cmos cmos, byte register, byte value)
    {
        cmos.Write(0, [register]);
        cmos.Write(1, [value]);
    }

    private static int Word(Cmos cmos, byte register) => Get(cmos, register) | (Get(cmos, (byte)(register + 1)) << 8);

    private Cmos Make(ulong memory, int cpus) => new(_clock, new MemoryLayout(memory), cpus);

    private string Bcd() =>
        $"{this[0x32]:X2}{this[9]:X2}-{this[8]:X2}-{this[7]:X2} "
        + $"{this[4]:X2}:{this[2]:X2}:{this[0]:X2} weekday {this[6]:X}";
}
