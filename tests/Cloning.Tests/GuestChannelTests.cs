using System.Text;
using Cloning.Instances;
using TestKit.Guests;
using TestKit.Virtio;
using Vmm.Devices;
using Xunit;

namespace Cloning.Tests;

public sealed class GuestChannelTests
{
    private static readonly TimeSpan s_soon = TimeSpan.FromMilliseconds(20), s_limit = TimeSpan.FromSeconds(180);

    [Fact]
    public void Hello_ready_and_a_request_are_understood_in_pieces_and_with_any_line_end()
    {
        int asked = 0;
        GuestChannel channel = new(new Lock()) { RebootAsked = () => asked++ };
        Say(channel, "hel");
        Assert.False(channel.Announced);
        Say(channel, "lo 1\r\nready");
        Assert.True(channel.Announced);
        Assert.False(channel.Ready.IsCompleted);
        Say(channel, "\nreboot --background\nreboot\n");
        Assert.True(channel.Ready.IsCompleted);
        Assert.Equal(1, asked);

        channel.BeginAnew();
        Assert.False(channel.Announced);
        Assert.False(channel.Ready.IsCompleted);
    }

    [Theory]
    [InlineData("hello 2\n")]
    [InlineData("hello\n")]
    [InlineData("hello one\n")]
    [InlineData("ready?\n")]
    [InlineData("already\nready \n ready\n")]
    [InlineData("\0ready\n")]
    [InlineData("done\ndone 99999999999999999999\nfailed -1 \x1b[2J\n")]
    [InlineData("\n\n \n\xff\xfe\n")]
    public void What_is_not_in_the_protocol_means_nothing(string text)
    {
        GuestChannel channel = new(new Lock());
        Say(channel, text);
        Assert.False(channel.Announced);
        Assert.False(channel.Ready.IsCompleted);
    }

    [Fact]
    public void A_line_that_is_too_long_is_skipped_to_its_end()
    {
        GuestChannel channel = new(new Lock());
        Say(channel, "ready" + new string(' ', GuestChannel.MaxLineBytes));
        Say(channel, new string('x', 1 << 20) + "\n");
        Assert.False(channel.Ready.IsCompleted);
        Say(channel, new string('x', GuestChannel.MaxLineBytes + 1) + "\nready\n");
        Assert.True(channel.Ready.IsCompleted);
    }

    [Fact]
    public async Task A_question_is_answered_by_its_number_only()
    {
        GuestChannel channel = Connected(out Serial8250 port);
        Assert.Equal("no answer within 0 s", channel.Ask("sync", s_soon, CancellationToken.None));
        Assert.Equal("sync 1\n", Heard(port));
        Task<string?> second = Task.Run(() => channel.Ask("quiesce", s_limit, CancellationToken.None));
        Assert.Equal("quiesce 2\n", HeardOnce(port));
        Say(channel, "done 1\ndone 3\n");
        Assert.False(second.IsCompleted);
        Say(channel, "done 2\n");
        Assert.Null(await second);

        Task<string?> third = Task.Run(() => channel.Ask("thaw", s_limit, CancellationToken.None));
        Assert.Equal("thaw 3\n", HeardOnce(port));
        Say(channel, "failed 3 no \x1b]0;such\x07 thing\n");
        Assert.Equal("no ]0;such thing", await third);
    }

    [Fact]
    public void What_the_guest_is_told_is_one_line_of_limited_length()
    {
        GuestChannel channel = Connected(out Serial8250 port);
        channel.Tell("reboot aborted: one\ntwo " + new string('x', 1000));
        string heard = Heard(port);
        Assert.Equal(GuestChannel.MaxLineBytes, heard.Length);
        Assert.StartsWith("reboot aborted: one two xxx", heard, StringComparison.Ordinal);
        Assert.Equal(heard.Length - 1, heard.IndexOf('\n', StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_guest_that_announces_itself_is_ready_when_it_says_so_and_is_asked_to_come_to_rest()
    {
        using TestInstance guest = new('1');
        guest.Install('2', TinyOsBoot.Announces);
        RebootReport first = await guest.RebootInBackground();
        Assert.Equal(RebootOutcome.Switched, first.Outcome);
        Assert.EndsWith("login: up\r\n", File.ReadAllText(guest.Files.ShadowLog), StringComparison.Ordinal);
        Assert.True(guest.Instance.ConsoleHub.Channel.Announced);

        guest.Install('3');
        RebootReport second = await guest.Reboot(RebootMode.Background, quiesce: QuiesceMode.Auto);
        Assert.Equal(RebootOutcome.Switched, second.Outcome);
        Assert.True(second.QuiesceMicros > 0);
        guest.Instance.ConsoleHub.Drain(); // the log is written behind the guest's back
        Assert.Contains("{s}{q}", File.ReadAllText(guest.Files.ConsoleLog), StringComparison.Ordinal);
        Assert.False(guest.Instance.ConsoleHub.Channel.Announced);
    }

    [Fact]
    public async Task A_guest_asks_for_its_own_background_reboot_and_not_twice_in_a_row()
    {
        using TestInstance guest = new('1');
        guest.Install('2', TinyOsBoot.Announces);
        Assert.Equal(RebootOutcome.Switched, (await guest.RebootInBackground()).Outcome);
        guest.Install('3', TinyOsBoot.Announces);
        guest.Ask('B', "{r}"); // accepted
        WaitFor(() => guest.Instance.Status() is { Generation: 5, BackgroundPhase: null });
        guest.Ask('v', "<3>");
        guest.Ask('B', "{r}"); // refused
        Assert.Equal(5, guest.Instance.Status().Generation);
        Assert.Null(guest.Instance.Status().BackgroundPhase);
    }

    [Fact]
    public async Task A_guest_that_was_brought_to_rest_for_nothing_is_told_to_go_on()
    {
        using TestInstance guest = new('1');
        guest.Install('2', TinyOsBoot.Announces);
        await guest.RebootInBackground();
        // The switch itself fails: the next manifest cannot be put in its place.
        guest.Entered = phase =>
        {
            if (phase == RebootPhase.Switch) File.Delete(guest.Files.Manifest + ".next");
        };
        RebootReport aborted = await guest.Reboot(RebootMode.Background, quiesce: QuiesceMode.Auto);
        Assert.Equal(RebootOutcome.Aborted, aborted.Outcome);
        Assert.DoesNotContain("quiescing", aborted.Reason, StringComparison.Ordinal);
        Assert.Contains("{s}{q}{t}", File.ReadAllText(guest.Files.ConsoleLog), StringComparison.Ordinal);
    }

    private static GuestChannel Connected(out Serial8250 port)
    {
        Lock gate = new();
        GuestChannel channel = new(gate);
        port = new Serial8250(new TestLine(), channel);
        channel.Connect(port);
        return channel;
    }

    private static void Say(GuestChannel channel, string text) => ((ISerialOutput)channel).Write(Encoding.Latin1.GetBytes(text));

    private static string HeardOnce(Serial8250 port)
    {
        WaitFor(() => IsHeard(port));
        return Heard(port);
    }

    private static void WaitFor(Func<bool> condition) => Assert.True(SpinWait.SpinUntil(condition, s_limit));

    private static bool IsHeard(Serial8250 port) => (Read(port, 5) & 1) != 0;

    private static string Heard(Serial8250 port)
    {
        StringBuilder heard = new();
        while (IsHeard(port)) heard.Append((char)Read(port, 0));
        return heard.ToString();
    }

    private static byte Read(Serial8250 port, ushort register)
    {
        byte[] data = new byte[1];
        port.Read(register, data);
        return data[0];
    }
}
