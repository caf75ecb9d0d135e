using TestKit;
using Xunit;

namespace Kvm.Interop.Tests;

/// <summary>A thread before all others, for a moment, and nobody but it; and one that lets others finish.</summary>
public sealed class UrgencyTests
{
    [Fact]
    public void It_is_taken_back_and_does_not_go_on_to_threads_that_start_meanwhile()
    {
        SchedAttr urgent = default, after = default;
        Thread thread = new(() =>
        {
            Urgency urgency = default;
            urgency.Raise(Libc.gettid(), priority: 1);
            urgent = OwnThreads.Scheduling();
            urgency.Lower();
            after = OwnThreads.Scheduling();
        });
        thread.Start();
        thread.Join();
        Assert.Equal(Environment.IsPrivilegedProcess ? SchedAttr.SCHED_FIFO : SchedAttr.SCHED_OTHER, urgent.Policy);
        // With it the kernel makes a new thread an ordinary one (sched(7)). The runtime that the tests have does so by itself.
        Assert.Equal(SchedAttr.SCHED_FLAG_RESET_ON_FORK, urgent.Flags & SchedAttr.SCHED_FLAG_RESET_ON_FORK);
        Assert.Equal(SchedAttr.SCHED_OTHER, after.Policy);
    }

    [Fact]
    public void One_that_preempts_nobody_keeps_its_niceness_and_whoever_had_a_policy_keeps_that()
    {
        SchedAttr batch = default, idle = default;
        Thread thread = new(() =>
        {
            Assert.Equal(0, Libc.SetNice(Libc.gettid(), 7));
            Libc.WakeWithoutPreempting();
            batch = OwnThreads.Scheduling();
            Set(batch with { Policy = SchedAttr.SCHED_IDLE });
            Libc.WakeWithoutPreempting();
            idle = OwnThreads.Scheduling();
        });
        thread.Start();
        thread.Join();
        Assert.Equal((SchedAttr.SCHED_BATCH, 7), (batch.Policy, batch.Nice));
        Assert.Equal(SchedAttr.SCHED_IDLE, idle.Policy);
    }

    private static unsafe void Set(SchedAttr attributes) =>
        // SAFETY: the kernel reads one structure, a parameter.
        Assert.Equal(0, Libc.sched_setattr(Libc.gettid(), &attributes));
}
