using Kvm.Interop;
using Pauses;
using TestKit;
using Vmm.Machines;
using Xunit;

namespace Cloning.Tests;

/// <summary>A pause on a host that has no room for a signal. By itself: that holds for the whole process.</summary>
[Collection(nameof(PauseSignalTests))]
[CollectionDefinition(nameof(PauseSignalTests), DisableParallelization = true)]
public sealed class PauseSignalTests
{
    [Fact]
    public void A_pause_for_which_no_signal_can_be_sent_comes_when_one_can_or_is_taken_back()
    {
        using KvmHost host = KvmHost.Open();
        using WorkerMachine guest = WorkerMachine.Started(host, 2, 16 << 20);
        Exception? failure = null;
        HostLimits.Signals(() =>
        {
            Assert.False(KickSignal.Send(Libc.gettid()));
            failure = Record.Exception(() => guest.Machine.Pause());
        });
        // A vCPU may come out of the guest by itself, and see that it is to pause.
        if (failure is null) guest.Machine.Run();
        else Assert.IsType<TimeoutException>(failure);
        guest.AwaitCounting();
        guest.Machine.Pause();
    }
}
