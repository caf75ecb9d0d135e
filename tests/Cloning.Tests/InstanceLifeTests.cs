using Cloning.Instances;
using Xunit;

namespace Cloning.Tests;

/// <summary>Reboot, stop and the guest's own end, all at once: each is answered, and nothing is left waiting.</summary>
public sealed class InstanceLifeTests
{
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(60);

    [Fact]
    public async Task Stopped_while_it_reboots_in_place_it_ends()
    {
        for (int moment = 0; moment < 8; moment++)
        {
            using TestInstance guest = new('1');
            Task<bool>? stopping = null;
            int delay = moment * 20_000;
            guest.Entered = phase =>
            {
                if (phase != RebootPhase.ShutDown) return;
                stopping = Task.Run(() =>
                {
                    Thread.SpinWait(delay);
                    return guest.Instance.StopAsync(force: false, s_limit);
                });
            };
            try
            {
                await guest.Reboot(RebootMode.InPlace);
            }
            catch (InstanceException e)
            {
                Assert.Contains("stopped", e.Message, StringComparison.Ordinal);
            }

            Assert.True(await stopping!, $"moment {moment}");
            await guest.Instance.Completion.WaitAsync(s_limit, TestContext.Current.CancellationToken);
            Assert.Equal(InstanceState.Stopped, guest.Instance.Status().State);
            Assert.True(await guest.Instance.StopAsync(force: false, s_limit)); // asked of one that is off
        }
    }

    [Fact]
    public async Task Closed_while_its_guest_reboots_itself_it_is_closed()
    {
        for (int moment = 0; moment < 8; moment++)
        {
            using TestInstance guest = new('1');
            guest.Instance.Console.Write("r"u8);
            await guest.Instance.Machine.Exited.WaitAsync(s_limit, TestContext.Current.CancellationToken);
            Thread.SpinWait(moment * 20_000);
        }
    }

    [Fact]
    public async Task Whoever_has_read_the_login_prompt_finds_it_running()
    {
        using TestInstance guest = new('1');
        string console = "";
        InstanceState? found = null;
        IDisposable? reader = null;
        guest.Entered = phase =>
        {
            // After who watches the boot, so that it has read the prompt when this does.
            if (phase == RebootPhase.Boot) reader = guest.Instance.Console.Attach(Read, replay: int.MaxValue);
        };
        for (int boot = 0; boot < 8; boot++)
        {
            (console, found) = ("", null);
            await guest.Reboot(RebootMode.InPlace);
            guest.Ask('v', "<1>"); // what came before this has been read
            reader!.Dispose();
            Assert.Equal(InstanceState.Running, found);
        }

        void Read(ReadOnlyMemory<byte> output)
        {
            console += System.Text.Encoding.Latin1.GetString(output.Span);
            if (console.EndsWith("login: ", StringComparison.Ordinal)) found = guest.Instance.Status().State;
        }
    }

    [Fact]
    public async Task A_guest_that_switches_itself_off_during_a_background_reboot_is_off()
    {
        using TestInstance guest = new('1');
        guest.Install('2');
        guest.Entered = phase =>
        {
            if (phase == RebootPhase.ShutDown) guest.Instance.Console.Write("q"u8);
        };
        RebootReport report = await guest.RebootInBackground();
        Assert.Equal(RebootOutcome.Aborted, report.Outcome);
        Assert.Contains("ended meanwhile", report.Reason, StringComparison.Ordinal);
        await guest.Instance.Completion.WaitAsync(s_limit, TestContext.Current.CancellationToken);
        Assert.Equal(InstanceState.Stopped, guest.Instance.Status().State);
    }
}
