using System.Runtime.InteropServices;

namespace Kvm.Interop;

/// <summary>C <c>struct sched_attr</c> (linux/sched/types.h), as long as its first version.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct SchedAttr
{
    /// <summary>Policy: time-sharing, the default.</summary>
    public const uint SCHED_OTHER = 0;
    /// <summary>Policy: real-time, first in, first out.</summary>
    public const uint SCHED_FIFO = 1;
    /// <summary>Policy: time-sharing, without preempting anybody on waking up.</summary>
    public const uint SCHED_BATCH = 3;
    /// <summary>Policy: time-sharing of what nobody else wants.</summary>
    public const uint SCHED_IDLE = 5;

    /// <summary>Flag: threads that this one starts are ordinary ones.</summary>
    public const ulong SCHED_FLAG_RESET_ON_FORK = 1;

    /// <summary>Bytes of this structure.</summary>
    public uint Size;
    /// <summary><c>sched_policy</c>.</summary>
    public uint Policy;
    /// <summary><c>sched_flags</c>.</summary>
    public ulong Flags;
    /// <summary><c>sched_nice</c>, for SCHED_OTHER, SCHED_BATCH and SCHED_IDLE.</summary>
    public int Nice;
    /// <summary><c>sched_priority</c>, for SCHED_FIFO.</summary>
    public uint Priority;
    /// <summary><c>sched_runtime</c>, ns: for SCHED_OTHER the slice, since Linux 6.12; without effect before.</summary>
    public ulong Runtime;
    /// <summary><c>sched_deadline</c>, ns.</summary>
    public ulong Deadline;
    /// <summary><c>sched_period</c>, ns.</summary>
    public ulong Period;
}
