namespace Kvm.Interop;

/// <summary>
/// A thread that is scheduled before everything ordinary on the host: real-time where this process may (CAP_SYS_NICE or
/// RLIMIT_RTPRIO), otherwise with the shortest slice, which since Linux 6.12 lets it preempt longer ones when it wakes.
/// </summary>
/// <remarks>
/// For the microseconds of a pause. A thread whose owner has chosen another policy than the default keeps it.
/// </remarks>
public struct Urgency
{
    private const ulong ShortestSliceNanos = 100_000;
    private SchedAttr _before;
    private int _thread;

    /// <summary>Makes a thread urgent. Without effect on a host that refuses both.</summary>
    /// <param name="thread">Its kernel id.</param>
    /// <param name="priority">Among urgent threads, from 1.</param>
    public unsafe void Raise(int thread, uint priority)
    {
        if (_thread != 0) return;
        SchedAttr before, urgent;
        // SAFETY: the kernel writes and reads one structure each, locals of this method.
        if (Libc.sched_getattr(thread, &before) != 0 || before.Policy != SchedAttr.SCHED_OTHER) return;
        // The runtime's pool starts threads from whatever thread needs one: they must not inherit this for good. The flag stays
        // behind, because only a privileged thread may take it back, and it changes nothing for a thread that is ordinary itself.
        before.Flags |= SchedAttr.SCHED_FLAG_RESET_ON_FORK;
        (_before, _thread) = (before, thread);
        urgent = new SchedAttr
        {
            Size = (uint)sizeof(SchedAttr),
            Policy = SchedAttr.SCHED_FIFO,
            Flags = SchedAttr.SCHED_FLAG_RESET_ON_FORK,
            Priority = priority,
        };
        if (Libc.sched_setattr(thread, &urgent) == 0) return;
        urgent = before with { Runtime = ShortestSliceNanos };
        _ = Libc.sched_setattr(thread, &urgent);
    }

    /// <summary>Takes it back.</summary>
    public unsafe void Lower()
    {
        if (_thread == 0) return;
        SchedAttr before = _before;
        // SAFETY: as above. A thread that has ended meanwhile needs nothing.
        _ = Libc.sched_setattr(_thread, &before);
        _thread = 0;
    }
}
