using System.Diagnostics;
using Cloning.Instances;
using CowMemory;
using VirtioBlk.Turns;
using Xunit;

namespace Cloning.Tests.Faults;

/// <summary>After an abort memory goes back to one shared file.</summary>
public sealed class ReshareTests
{
    [Fact]
    public async Task A_guest_that_writes_all_the_time_gets_back_to_one_shared_file_and_no_page_is_stale()
    {
        using TestInstance guest = new('1');
        guest.Ask('b', "b");
        for (int round = 0; round < 3; round++)
        {
            guest.Ask('F', "F");
            guest.Install('2');
            long aborted = 0;
            guest.Entered = phase =>
            {
                if (phase != RebootPhase.ShutDown) return;
                guest.Ask('C', "C");
                aborted = Stopwatch.GetTimestamp();
                HostFaults.Kill(guest.Instance.Status().ShadowPid!.Value);
            };
            RebootReport report = await guest.RebootInBackground();
            TimeSpan took = Stopwatch.GetElapsedTime(aborted);
            Assert.Equal(RebootOutcome.Aborted, report.Outcome);
            Assert.Equal(MemoryView.Shared, guest.Instance.Machine.Memory.View);
            guest.Ask('C', "C");
            TestContext.Current.TestOutputHelper?.WriteLine($"shared again after {took.TotalMilliseconds:0} ms");
        }

        guest.Entered = null;
        RebootReport last = await guest.RebootInBackground();
        Assert.Equal((RebootOutcome.Switched, (string?)null), (last.Outcome, last.Reason));
        guest.Ask('v', "<2>");
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_stop_does_not_wait_for_the_copy(bool inPrepare)
    {
        using TestInstance guest = new('1');
        guest.Ask('F', "F");
        Task<bool>? stop = null;
        SimulatedTurns stops = new(() => stop ??= guest.Instance.StopAsync(force: true, TimeSpan.FromMinutes(3)));
        SimulatedTurns fails = new(() => throw new IOException("simulated: no turn"));
        guest.Instance.BackgroundTurns = inPrepare ? fails : stops;
        guest.Entered = phase =>
        {
            if (phase == RebootPhase.ShutDown) HostFaults.Kill(guest.Instance.Status().ShadowPid!.Value);
        };
        RebootReport report = await guest.RebootInBackground();
        if (inPrepare)
        {
            Assert.Equal((RebootOutcome.Aborted, MemoryView.Private), (report.Outcome, guest.Instance.Machine.Memory.View));
            guest.Instance.BackgroundTurns = stops;
            report = await guest.RebootInBackground();
            Assert.Equal("the instance was stopped", report.Reason);
        }

        Assert.Equal((RebootOutcome.Aborted, MemoryView.Private), (report.Outcome, guest.Instance.Machine.Memory.View));
        Assert.NotNull(stop);
        Assert.True(await stop);
    }

    /// <summary>Simulated turns: something happens instead of waiting for one.</summary>
    private sealed class SimulatedTurns(Action enter) : IDiskTurns
    {
        public bool TryEnter() => false;

        public long Enter()
        {
            enter();
            return 0;
        }

        public void Leave()
        {
        }

        public void Leave(long entered, int kind)
        {
        }
    }
}
