using Xunit;

namespace Kvm.Interop.Tests;

/// <summary>A thread before all others, for a moment, and nobody but it.</summary>
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
            urgent = Own();
            urgency.Lower();
            after = Own();
        });
        thread.Start();
        thread.Join();
        Assert.Equal(Environment.IsPrivilegedProcess ? SchedAttr.SCHED_FIFO : SchedAttr.SCHED_OTHER, urgent.Policy);
        // With it the kernel makes a new thread an ordinary one (sched(7)). The runtime that the tests have does so by itself.
        Assert.Equal(SchedAttr.SCHED_FLAG_RESET_ON_FORK, urgent.Flags & SchedAttr.SCHED_FLAG_RESET_ON_FORK);
        Assert.Equal(SchedAttr.SCHED_OTHER, after.Policy);
    }

    private static unsafe SchedAttr Own()
    {
        SchedAttr attributes;
        // SAFETY: the kernel writes one structure, a local.
        Assert.Equal(0, Libc.sched_getattr(Libc.gettid(), &attributes));
        return attributes;
    }
}
