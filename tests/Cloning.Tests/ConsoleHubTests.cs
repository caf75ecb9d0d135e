using System.Text;
using Cloning.Instances;
using Kvm.Interop;
using TestKit;
using Xunit;

namespace Cloning.Tests;

/// <summary>The console between a guest and those who read along.</summary>
public sealed class ConsoleHubTests
{
    [Fact]
    public async Task Drained_it_has_handed_out_what_was_printed_while_a_reader_was_busy()
    {
        string log = Path.GetTempFileName();
        using ManualResetEventSlim busy = new(), goOn = new();
        StringBuilder read = new();
        uint? policy = null;
        using (ConsoleHub hub = new(log))
        using (hub.Attach(output =>
        {
            policy = OwnThreads.Scheduling().Policy;
            busy.Set();
            goOn.Wait();
            read.Append(Encoding.Latin1.GetString(output.Span));
        }, replay: 0))
        {
            hub.Print("one "u8);
            busy.Wait(TestContext.Current.CancellationToken);
            hub.Print("two"u8);
            string? drained = null;
            Thread waiter = new(() =>
            {
                hub.Drain();
                drained = read.ToString();
            });
            waiter.Start();
            Assert.True(SpinWait.SpinUntil(() => waiter.ThreadState.HasFlag(ThreadState.WaitSleepJoin), TimeSpan.FromMinutes(1)));
            goOn.Set();
            waiter.Join();
            Assert.Equal("one two", drained);
            hub.Drain(); // nothing is on its way
            // Once for each byte, it would take the processor from a guest that has no other.
            Assert.Equal(SchedAttr.SCHED_BATCH, policy);
        }

        Assert.Equal("one two", await File.ReadAllTextAsync(log, TestContext.Current.CancellationToken));
        File.Delete(log);
    }
}
