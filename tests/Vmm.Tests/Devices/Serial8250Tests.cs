using Vmm.Devices;
using Xunit;
using static Vmm.Tests.Devices.SerialDriver;

namespace Vmm.Tests.Devices;

public sealed class Serial8250Tests : IDisposable
{
    private const byte RxEnable = 0x01, TxEnable = 0x02, LineEnable = 0x04, ModemEnable = 0x08;
    private const byte IirNone = 0xC1, IirTx = 0xC2, IirRx = 0xC4, IirLine = 0xC6, IirTimeout = 0xCC, IirModem = 0xC0;

    private readonly SerialDriver _uart = new();

    public void Dispose() => _uart.Dispose();

    [Fact]
    public void After_reset_it_is_idle_without_fifos_and_nothing_is_pending()
    {
        Assert.Equal(0x01, _uart[Iir]);
        Assert.Equal(0x60, _uart[Lsr]);
        Assert.Equal(0xB0, _uart[Msr]);
        Assert.Equal(0, _uart[Ier]);
        Assert.Equal(0, _uart.Line.Edges);
    }

    [Fact]
    public void Linux_takes_it_for_a_16550A()
    {
        // The probe of drivers/tty/serial/8250: scratch, IER's upper bits, loopback, FIFO bits, and no extensions.
        _uart[Ier] = 0xFF;
        Assert.Equal(0x0F, _uart[Ier]);
        _uart[Ier] = 0;
        Assert.Equal(0, _uart[Ier]);
        _uart[Mcr] = Loop | 0x0A;
        Assert.Equal(0x90, _uart[Msr] & 0xF0);
        _uart[Mcr] = 0;
        _uart[Fcr] = 0x01;
        Assert.Equal(0xC0, _uart[Iir] & 0xC0);
        _uart[Lcr] = 0xBF;
        Assert.NotEqual(0, _uart[Iir]);
        _uart[Lcr] = 0;
        _uart[Fcr] = 0x21;
        Assert.Equal(0xC0, _uart[Iir] & 0xE0);
        _uart[Scr] = 0xA5;
        Assert.Equal(0xA5, _uart[Scr]);
        Assert.Equal(0, _uart.Line.Edges);
    }

    [Fact]
    public void Output_leaves_in_order_whatever_the_interrupts()
    {
        foreach (byte b in "hello"u8) _uart[Data] = b;
        Assert.Equal("hello"u8.ToArray(), _uart.Sent);
        Assert.Equal(0x60, _uart[Lsr]);
    }

    [Fact]
    public void The_divisor_latch_hides_data_and_interrupt_enable()
    {
        _uart.Open(RxEnable);
        _uart[Lcr] = 0x83;
        _uart[Data] = 0x01;
        _uart[Ier] = 0x02;
        Assert.Equal((0x01, 0x02), (_uart[Data], _uart[Ier]));
        _uart[Lcr] = 0x03;
        Assert.Equal(RxEnable, _uart[Ier]);
        Assert.Empty(_uart.Sent);
    }

    [Fact]
    public void Allowing_the_transmitter_interrupt_raises_it_at_once_and_again_each_time()
    {
        _uart.Open(0);
        for (int i = 0; i < 3; i++)
        {
            _uart[Ier] = TxEnable;
            Assert.Equal(1, _uart.Line.Take());
            Assert.Equal(IirTx, _uart[Iir]);
            Assert.Equal(IirNone, _uart[Iir]); // reading it was the acknowledgement
            _uart[Ier] = 0;
        }
    }

    [Fact]
    public void A_batch_of_output_is_one_edge_and_the_next_batch_another()
    {
        _uart.Open(TxEnable);
        Assert.Equal(IirTx, _uart[Iir]);
        _uart.Line.Take();
        for (int batch = 0; batch < 3; batch++)
        {
            for (int i = 0; i < 16; i++) _uart[Data] = (byte)i;
            Assert.Equal(1, _uart.Line.Take());
            Assert.Equal(IirTx, _uart[Iir]);
        }

        Assert.Equal(48, _uart.Sent.Count);
    }

    [Fact]
    public void Output_without_end_rests_as_long_as_it_was_busy()
    {
        _uart.Open(TxEnable);
        foreach (int busy in (int[])[2, 9])
        {
            Assert.Equal(IirTx, _uart[Iir]);
            _uart[Data] = 0;
            Assert.Equal(IirTx, _uart[Iir]);
            _uart.Clock.Advance(TimeSpan.FromMilliseconds(busy));
            for (int i = 0; i < 16; i++) _uart[Data] = (byte)i;
            Assert.Equal(IirNone, _uart[Iir]); // the handler gets out, and others get in
            _uart.Line.Take();
            _uart.Clock.Advance(TimeSpan.FromMilliseconds(busy - 1));
            Assert.Equal((0, IirNone), (_uart.Line.Take(), _uart[Iir]));
            _uart.Clock.Advance(TimeSpan.FromMilliseconds(1));
            Assert.Equal(1, _uart.Line.Take());
        }

        Assert.Equal(34, _uart.Sent.Count);
    }

    [Fact]
    public void Output_forbidden_during_a_rest_is_not_announced_after_it()
    {
        Rest();
        _uart[Ier] = RxEnable;
        _uart.Clock.Advance(Serial8250.LongestRest);
        Assert.Equal((0, IirNone), (_uart.Line.Take(), _uart[Iir]));
    }

    [Fact]
    public void A_handler_that_found_nothing_begins_anew()
    {
        _uart.Open(TxEnable);
        for (int i = 0; i < 10; i++)
        {
            Assert.Equal(IirTx, _uart[Iir]);
            _uart[Data] = 0;
            _uart[Ier] = 0; // nothing more to send
            Assert.Equal(IirNone, _uart[Iir]);
            _uart.Clock.Advance(Serial8250.BusyTime);
            _uart[Ier] = TxEnable;
        }
    }

    [Fact]
    public void Polled_output_never_waits()
    {
        Rest();
        for (int i = 0; i < 100; i++)
        {
            Assert.Equal(0x60, _uart[Lsr]);
            _uart[Data] = (byte)i;
        }

        Assert.Equal(102, _uart.Sent.Count);
    }

    [Fact]
    public void Input_raises_an_edge_and_is_read_in_order()
    {
        _uart.Open(RxEnable);
        Assert.Equal(5, _uart.Port.Receive("login"u8));
        Assert.Equal(1, _uart.Line.Take());
        Assert.Equal("login"u8.ToArray(), _uart.Drain());
        Assert.Equal(IirNone, _uart[Iir]);
        _uart.Port.Receive("x"u8);
        Assert.Equal(1, _uart.Line.Take());
    }

    [Fact]
    public void Input_that_came_before_interrupts_were_allowed_is_announced_when_they_are()
    {
        _uart.Open(0);
        _uart.Port.Receive("early"u8);
        Assert.Equal(0, _uart.Line.Take());
        _uart[Ier] = RxEnable;
        Assert.Equal(1, _uart.Line.Take());
        Assert.Equal("early"u8.ToArray(), _uart.Drain());
    }

    [Fact]
    public void Without_out2_the_line_stays_down_and_rises_when_it_comes()
    {
        _uart.Open(RxEnable);
        _uart[Mcr] = 0x03;
        _uart.Port.Receive("a"u8);
        Assert.Equal(0, _uart.Line.Take());
        Assert.Equal(IirTimeout, _uart[Iir]);
        _uart[Mcr] = 0x0B;
        Assert.Equal(1, _uart.Line.Take());
    }

    [Theory]
    [InlineData(0x07, 1)]
    [InlineData(0x47, 4)]
    [InlineData(0x87, 8)]
    [InlineData(0xC7, 14)]
    public void The_trigger_level_tells_received_from_timed_out(byte fcr, int trigger)
    {
        _uart.Open(RxEnable);
        _uart[Fcr] = fcr;
        _uart.Port.Receive(new byte[trigger]);
        Assert.Equal(IirRx, _uart[Iir]);
        _ = _uart[Data];
        Assert.Equal(trigger == 1 ? IirNone : IirTimeout, _uart[Iir]);
    }

    [Fact]
    public void A_long_paste_arrives_whole_with_an_edge_for_every_fifo()
    {
        byte[] paste = Paste(10_000);
        _uart.Open(RxEnable);
        Assert.Equal(paste.Length, _uart.Port.Receive(paste));
        Assert.Equal(1, _uart.Line.Take());
        Assert.Equal(paste, _uart.Drain());
        // A guest may stop reading at any byte and wait for an interrupt: there is one for each FIFO it has begun.
        Assert.Equal((paste.Length / 16) - 1, _uart.Line.Take());
    }

    [Fact]
    public void A_long_paste_to_a_slow_guest_rests_as_long_as_the_guest_was_busy()
    {
        byte[] paste = Paste(2000);
        _uart.Open(RxEnable);
        _uart.Port.Receive(paste);
        List<byte> read = [];
        int runs = 0;
        for (; _uart.Line.Take() > 0; runs++)
        {
            DateTimeOffset entered = _uart.Clock.Now;
            while ((_uart[Iir] & 0x01) == 0)
            {
                while ((_uart[Lsr] & 0x01) != 0)
                {
                    read.Add(_uart[Data]);
                    _uart.Clock.Advance(TimeSpan.FromMicroseconds(20));
                }
            }

            // What a handler does at a stretch is bounded, and then it has at least as long for other things.
            TimeSpan handled = _uart.Clock.Now - entered;
            Assert.True(handled <= Serial8250.BusyTime + TimeSpan.FromMicroseconds(3 * 16 * 20), $"{handled}");
            _uart.Line.Take(); // of batches that it has read already: it would find nothing
            _uart.Port.Receive([]); // input that comes meanwhile waits with the rest
            Assert.Equal((0, IirNone), (_uart.Line.Edges, _uart[Iir]));
            _uart.Clock.Advance(handled);
        }

        Assert.Equal(paste, read.ToArray());
        Assert.InRange(runs, 10, 25);
    }

    [Fact]
    public void No_rest_is_longer_than_the_longest()
    {
        _uart.Open(RxEnable);
        _uart.Port.Receive(new byte[48]);
        _uart.Drain(16);
        _uart.Clock.Advance(TimeSpan.FromDays(1));
        _uart.Drain(16);
        Assert.Equal(0x60, _uart[Lsr]);
        _uart.Line.Take();
        _uart.Clock.Advance(Serial8250.LongestRest);
        Assert.Equal(1, _uart.Line.Take());
        Assert.Equal(16, _uart.Drain().Length);
    }

    [Fact]
    public void Who_polls_without_interrupts_gets_a_long_paste_too()
    {
        byte[] paste = Paste(1000);
        _uart.Open(0);
        _uart.Port.Receive(paste);
        List<byte> read = [];
        while (read.Count < paste.Length)
        {
            byte[] some = _uart.Drain(5);
            read.AddRange(some);
            _uart.Clock.Advance(some.Length > 0 ? TimeSpan.FromMilliseconds(1) : Serial8250.LongestRest);
        }

        Assert.Equal(paste, read.ToArray());
    }

    [Fact]
    public void A_port_that_is_disposed_of_raises_nothing_after_its_rest()
    {
        Rest();
        _uart.Port.Dispose();
        _uart.Clock.Advance(Serial8250.LongestRest);
        _uart.Port.Receive("late"u8);
        Assert.Equal(0, _uart.Line.Take());
    }

    [Fact]
    public void A_guest_that_leaves_bytes_behind_is_called_again_by_the_next()
    {
        _uart.Open(RxEnable);
        _uart.Port.Receive(new byte[10]);
        _uart.Line.Take();
        for (int i = 0; i < 5; i++) _ = _uart[Data];
        Assert.Equal(0, _uart.Line.Take());
        _uart.Port.Receive("more"u8);
        Assert.Equal(1, _uart.Line.Take());
        Assert.Equal(9, _uart.Drain().Length);
    }


    [Fact]
    public void The_backlog_has_a_limit_and_says_so()
    {
        _uart.Open(RxEnable);
        byte[] flood = new byte[Serial8250.BacklogLimit + 100];
        Assert.Equal(Serial8250.BacklogLimit, _uart.Port.Receive(flood));
        Assert.Equal(16, _uart.Port.Receive(flood)); // as much as went into the FIFO
        Assert.Equal(0, _uart.Port.Receive(flood));
        Assert.False(_uart.Port.SendBreak());
        Assert.Equal(Serial8250.BacklogLimit + 16, _uart.Port.Save().Received.Length);
        Assert.Equal(16, _uart.Drain(16).Length);
        Assert.True(_uart.Port.SendBreak());
    }

    [Fact]
    public void A_break_comes_in_its_place_and_shows_once()
    {
        _uart.Open(RxEnable | LineEnable);
        _uart.Port.Receive("ab"u8);
        Assert.True(_uart.Port.SendBreak());
        _uart.Port.Receive("s"u8);

        Assert.Equal(0x61, _uart[Lsr]);
        Assert.Equal((byte)'a', _uart[Data]);
        Assert.Equal(0x61, _uart[Lsr]);
        Assert.Equal((byte)'b', _uart[Data]);
        Assert.Equal(IirLine, _uart[Iir]);
        Assert.Equal(0x71, _uart[Lsr]);
        Assert.Equal(0x61, _uart[Lsr]); // reading cleared it
        Assert.Equal(IirTimeout, _uart[Iir]);
        Assert.Equal(0, _uart[Data]);
        Assert.Equal(0x61, _uart[Lsr]);
        Assert.Equal((byte)'s', _uart[Data]);
        Assert.Equal(0x60, _uart[Lsr]);
    }

    [Fact]
    public void A_break_into_an_idle_port_interrupts()
    {
        _uart.Open(RxEnable | LineEnable);
        _uart.Port.SendBreak();
        Assert.Equal(1, _uart.Line.Take());
        Assert.Equal(0x71, _uart[Lsr]);
    }

    [Fact]
    public void Two_breaks_in_a_row_are_two()
    {
        _uart.Open(RxEnable);
        _uart.Port.SendBreak();
        _uart.Port.SendBreak();
        Assert.Equal((0x71, 0, 0x71, 0, 0x60), (_uart[Lsr], _uart[Data], _uart[Lsr], _uart[Data], _uart[Lsr]));
    }

    [Fact]
    public void Loopback_hears_itself_and_holds_the_outside_back()
    {
        _uart.Open(RxEnable);
        _uart[Mcr] = Loop | Out2;
        _uart.Port.Receive("outside"u8);
        _uart[Data] = (byte)'x';
        Assert.Equal((byte)'x', _uart[Data]);
        Assert.Equal(0x60, _uart[Lsr]);
        Assert.Empty(_uart.Sent);
        Assert.Equal(0, _uart.Line.Take());
        _uart[Mcr] = 0x0B;
        Assert.Equal(1, _uart.Line.Take());
        Assert.Equal("outside"u8.ToArray(), _uart.Drain());
    }

    [Fact]
    public void Loopback_overruns_like_any_full_fifo()
    {
        _uart.Open(0);
        _uart[Mcr] = Loop;
        for (int i = 0; i < 17; i++) _uart[Data] = (byte)i;
        Assert.Equal(0x63, _uart[Lsr]);
        Assert.Equal([.. Enumerable.Range(0, 16).Select(i => (byte)i)], _uart.Drain());
    }

    [Fact]
    public void Modem_lines_that_change_in_loopback_are_reported_once()
    {
        _uart.Open(ModemEnable);
        _ = _uart[Msr];
        _uart[Mcr] = Loop | Out2; // CTS, DSR fall, carrier stays up
        Assert.Equal(IirModem, _uart[Iir]);
        Assert.Equal(0x83, _uart[Msr]);
        Assert.Equal(IirNone, _uart[Iir]);
        _uart[Mcr] = Loop | 0x04; // ring rises, carrier falls
        Assert.Equal(0x48, _uart[Msr]);
        _uart[Mcr] = Loop; // ring falls
        Assert.Equal(0x04, _uart[Msr]);
    }

    [Fact]
    public void Clearing_the_receiver_drops_the_fifo_and_keeps_what_waits_behind_it()
    {
        _uart.Open(RxEnable);
        _uart.Port.Receive([.. Enumerable.Range(0, 20).Select(i => (byte)i)]);
        _uart[Fcr] = 0x83;
        Assert.Equal([16, 17, 18, 19], _uart.Drain());
    }

    [Fact]
    public void Without_fifos_one_byte_is_there_at_a_time()
    {
        _uart.Open(RxEnable);
        _uart[Fcr] = 0;
        _uart.Port.Receive("abc"u8);
        Assert.Equal(0x04, _uart[Iir]);
        Assert.Equal("abc"u8.ToArray(), _uart.Drain());
        Assert.Equal(3, _uart.Line.Take());
    }

    [Fact]
    public void Priorities_are_line_then_received_then_transmitter_then_modem()
    {
        _uart.Open(0);
        _uart[Mcr] = Loop;
        _uart[Mcr] = 0x0B;
        _uart.Port.SendBreak();
        _uart[Ier] = 0x0F;
        Assert.Equal(IirLine, _uart[Iir]);
        _ = _uart[Lsr];
        Assert.Equal(IirTimeout, _uart[Iir]);
        _ = _uart[Data];
        Assert.Equal(IirTx, _uart[Iir]);
        Assert.Equal(IirModem, _uart[Iir]);
        _ = _uart[Msr];
        Assert.Equal(IirNone, _uart[Iir]);
    }

    [Fact]
    public void Wide_accesses_are_bytes_at_consecutive_ports()
    {
        _uart.Port.Write(Lcr, [0x03, 0x0B]);
        Span<byte> both = [0, 0];
        _uart.Port.Read(Lcr, both);
        Assert.Equal([0x03, 0x0B], both.ToArray());
    }

    [Fact]
    public void State_goes_round_with_fifo_backlog_breaks_and_pending_interrupts()
    {
        _uart.Open(RxEnable | TxEnable | LineEnable);
        _uart[Lcr] = 0x83;
        _uart[Data] = 0x34;
        _uart[Ier] = 0x12;
        _uart[Lcr] = 0x03;
        _uart[Scr] = 0x5A;
        _uart.Port.SendBreak();
        _uart.Port.Receive([.. Enumerable.Range(1, 20).Select(i => (byte)i)]);
        _uart.Port.SendBreak();

        using SerialDriver other = new();
        other.Port.Load(StateJson.RoundTrip(_uart.Port.Save()));

        StateJson.AssertEqual(_uart.Port.Save(), other.Port.Save());
        Assert.Equal(1, other.Line.Take()); // an edge may have been lost on the way
        Assert.Equal((0x5A, IirLine, 0x71), (other[Scr], other[Iir], other[Lsr]));
        Assert.Equal(Enumerable.Range(0, 21).Select(i => (byte)i), Enumerable.Range(0, 21).Select(_ => other[Data]));
        Assert.Equal((0x71, 0, 0x60), (other[Lsr], other[Data], other[Lsr]));
        Assert.Equal(IirTx, other[Iir]);
    }

    [Fact]
    public void A_rest_ends_with_a_save_and_load()
    {
        Rest();
        _uart.Port.SendBreak();
        _uart.Port.Receive("x"u8);
        using SerialDriver other = new();
        other.Port.Load(StateJson.RoundTrip(_uart.Port.Save()));
        Assert.Equal(1, other.Line.Take());
        Assert.Equal(IirTimeout, other[Iir]);
        Assert.Equal((0x71, 0, 0x61, (byte)'x'), (other[Lsr], other[Data], other[Lsr], other[Data]));
        Assert.Equal(IirTx, other[Iir]);
    }

    [Fact]
    public void The_empty_state_is_the_state_after_reset()
    {
        _uart.Open(0x0F);
        _uart.Port.Receive("x"u8);
        _uart.Port.Load(new Serial8250State());
        using SerialDriver fresh = new();
        StateJson.AssertEqual(fresh.Port.Save(), _uart.Port.Save());
    }

    [Fact]
    public async Task Bytes_from_another_thread_all_arrive_once_in_order()
    {
        const int Count = 7 * 10_000;
        _uart.Open(RxEnable);
        Task sender = Task.Run(() =>
        {
            byte[] chunk = new byte[7];
            for (int sent = 0; sent < Count; sent += chunk.Length)
            {
                for (int i = 0; i < chunk.Length; i++) chunk[i] = (byte)(sent + i);
                Assert.Equal(chunk.Length, _uart.Port.Receive(chunk));
            }
        }, TestContext.Current.CancellationToken);

        int expected = 0;
        while (expected < Count)
        {
            // As a guest does it: nothing is read without an interrupt, and then all that is there.
            _uart.Line.Wait();
            foreach (byte b in _uart.Handle()) Assert.Equal((byte)expected++, b);
        }

        await sender;
        Assert.Equal(Count, expected);
    }

    private static byte[] Paste(int length)
    {
        byte[] paste = new byte[length];
        new Random(length).NextBytes(paste);
        return paste;
    }

    /// <summary>Makes the port rest, with two bytes sent.</summary>
    private void Rest()
    {
        _uart.Open(RxEnable | TxEnable);
        for (int i = 0; i < 2; i++)
        {
            Assert.Equal(IirTx, _uart[Iir]);
            _uart[Data] = 0;
            _uart.Clock.Advance(i == 0 ? Serial8250.BusyTime : TimeSpan.Zero);
        }

        Assert.Equal(IirNone, _uart[Iir]);
        _uart.Line.Take();
    }
}
