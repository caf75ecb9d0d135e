using Vmm.Devices;
using Xunit;
using static Vmm.Tests.Devices.SerialDriver;

namespace Vmm.Tests.Devices;

public sealed class Serial8250Tests
{
    private const byte RxEnable = 0x01, TxEnable = 0x02, LineEnable = 0x04, ModemEnable = 0x08;
    private const byte IirNone = 0xC1, IirTx = 0xC2, IirRx = 0xC4, IirLine = 0xC6, IirTimeout = 0xCC, IirModem = 0xC0;

    private readonly SerialDriver _uart = new();

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
    public void A_handler_sends_one_batch_and_is_called_again_for_the_next()
    {
        // Linux writes 16 bytes a round and stays while IIR reports anything: it has to get out between two rounds.
        _uart.Open(TxEnable);
        for (int batch = 0; batch < 3; batch++)
        {
            Assert.NotEqual(0, _uart.Line.Take());
            Assert.Equal(IirTx, _uart[Iir]);
            for (int i = 0; i < 16; i++) _uart[Data] = (byte)i;
            Assert.Equal(IirNone, _uart[Iir]);
        }

        Assert.Equal(48, _uart.Sent.Count);
        Assert.Equal(IirTx, _uart[Iir]);
        _uart[Ier] = 0;
        _uart.Line.Take();
        _uart[Data] = 1;
        Assert.Equal(IirNone, _uart[Iir]);
        Assert.Equal(0, _uart.Line.Take());
    }

    [Fact]
    public void A_handler_that_reads_iir_only_once_is_called_until_it_sees_the_transmitter()
    {
        _uart.Open(TxEnable);
        _uart.Line.Take();
        Assert.Equal(IirTx, _uart[Iir]);
        _uart[Data] = 1;
        int calls = 0;
        byte seen;
        do
        {
            Assert.NotEqual(0, _uart.Line.Take());
            seen = _uart[Iir];
            calls++;
        }
        while (seen == IirNone);
        Assert.Equal((IirTx, 2), (seen, calls));
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
    public void A_long_paste_arrives_whole_one_fifo_for_each_run_of_the_handler()
    {
        byte[] paste = new byte[10_000];
        new Random(1).NextBytes(paste);
        _uart.Open(RxEnable);
        Assert.Equal(paste.Length, _uart.Port.Receive(paste));
        List<byte> read = [];
        while (_uart.Line.Take() > 0)
        {
            byte[] batch = _uart.Handle();
            Assert.True(batch.Length <= 16);
            read.AddRange(batch);
        }

        Assert.Equal(paste, read.ToArray());
    }

    [Fact]
    public void A_handler_that_reads_iir_only_once_gets_a_long_paste_too()
    {
        byte[] paste = new byte[1000];
        new Random(2).NextBytes(paste);
        _uart.Open(RxEnable);
        _uart.Port.Receive(paste);
        List<byte> read = [];
        while (_uart.Line.Take() > 0)
        {
            if ((_uart[Iir] & 0x01) == 0) read.AddRange(_uart.Drain());
        }

        Assert.Equal(paste, read.ToArray());
    }

    [Theory]
    [InlineData(0)]
    [InlineData(RxEnable)] // and nobody handles them
    public void Who_polls_without_interrupts_gets_a_long_paste_too(byte interrupts)
    {
        byte[] paste = new byte[1000];
        new Random(3).NextBytes(paste);
        _uart.Open(interrupts);
        _uart.Port.Receive(paste);
        List<byte> read = [];
        for (int looks = 0; read.Count < paste.Length && looks < 10_000; looks++) read.AddRange(_uart.Drain());
        Assert.Equal(paste, read.ToArray());
    }

    [Fact]
    public void Turning_interrupts_off_brings_what_was_due()
    {
        _uart.Open(RxEnable);
        _uart.Port.Receive(new byte[17]);
        Assert.Equal(16, _uart.Drain().Length);
        _uart[Ier] = 0;
        Assert.Equal(0x61, _uart[Lsr]);
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
        Assert.InRange(Serial8250.BacklogLimit, 4096, 64 << 10); // a paste fits, and a pause that carries it stays short
        _uart.Open(RxEnable);
        byte[] flood = new byte[Serial8250.BacklogLimit + 100];
        Assert.Equal(Serial8250.BacklogLimit, _uart.Port.Receive(flood));
        Assert.Equal(16, _uart.Port.Receive(flood)); // as much as went into the FIFO
        Assert.Equal(0, _uart.Port.Receive(flood));
        Assert.False(_uart.Port.SendBreak());
        Assert.Equal(Serial8250.BacklogLimit + 16, _uart.Port.Save().Received.Length);
        Assert.Equal(16, _uart.Drain().Length);
        _ = _uart[Iir]; // nothing pending: the next 16 come out of the backlog
        Assert.True(_uart.Port.SendBreak());
    }

    [Fact]
    public void A_state_with_more_than_the_backlog_takes_is_loaded_and_takes_nothing_more()
    {
        Serial8250State state = _uart.Port.Save() with { Received = [.. Enumerable.Repeat((byte)'x', Serial8250.BacklogLimit + 100)] };
        _uart.Port.Load(state);
        Assert.Equal(0, _uart.Port.Receive("y"u8));
        Assert.False(_uart.Port.SendBreak());
        Assert.Equal(state.Received, _uart.Port.Save().Received);
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
        Assert.Equal("a"u8.ToArray(), _uart.Handle());
        Assert.Equal("b"u8.ToArray(), _uart.Handle());
        Assert.Equal("c"u8.ToArray(), _uart.Handle());
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

        SerialDriver other = new();
        other.Port.Load(StateJson.RoundTrip(_uart.Port.Save()));

        StateJson.AssertEqual(_uart.Port.Save(), other.Port.Save());
        Assert.Equal(1, other.Line.Take()); // an edge may have been lost on the way
        Assert.Equal((0x5A, IirLine, 0x71), (other[Scr], other[Iir], other[Lsr]));
        Assert.Equal(Enumerable.Range(0, 16).Select(i => (byte)i), Enumerable.Range(0, 16).Select(_ => other[Data]));
        Assert.Equal((IirTx, IirNone, IirTimeout), (other[Iir], other[Iir], other[Iir]));
        Assert.Equal(Enumerable.Range(16, 5).Select(i => (byte)i), Enumerable.Range(0, 5).Select(_ => other[Data]));
        Assert.Equal((0x71, 0, 0x60), (other[Lsr], other[Data], other[Lsr]));
    }

    [Fact]
    public void Input_that_was_due_at_a_save_is_announced_again()
    {
        _uart.Open(RxEnable);
        _uart.Port.Receive(new byte[17]);
        Assert.Equal(16, _uart.Drain().Length);
        SerialDriver other = new();
        other.Port.Load(StateJson.RoundTrip(_uart.Port.Save()));
        StateJson.AssertEqual(_uart.Port.Save(), other.Port.Save());
        Assert.Equal(1, other.Line.Take());
        Assert.Equal((IirNone, 1, IirTimeout), (other[Iir], other.Line.Take(), other[Iir]));
    }

    [Fact]
    public void The_empty_state_is_the_state_after_reset()
    {
        _uart.Open(0x0F);
        _uart.Port.Receive("x"u8);
        _uart.Port.Load(new Serial8250State());
        StateJson.AssertEqual(new SerialDriver().Port.Save(), _uart.Port.Save());
    }

    [Fact]
    public async Task Bytes_from_another_thread_all_arrive_once_in_order()
    {
        const int Count = 7 * 9_000; // the backlog takes it all
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
}
