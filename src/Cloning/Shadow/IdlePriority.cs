using Kvm.Interop;

namespace Cloning.Shadow;

/// <summary>
/// Puts this process onto left-over time, as far as that needs no privilege: SCHED_IDLE and the idle I/O class, for every thread
/// it has and, by inheritance, every thread it will have (sched(7), ioprio_set(2)).
/// </summary>
public static class IdlePriority
{
    private const int SchedOther = 0, SchedIdle = 5;
    private const int IoprioWhoProcess = 1, IoprioClassBestEffort = 2, IoprioClassIdle = 3, IoprioClassShift = 13, IoprioDefault = 4;

    /// <summary>Applies it to the whole process.</summary>
    /// <returns>What was applied, in words for the status line.</returns>
    public static string Apply()
    {
        (bool cpu, bool disk) = Set(SchedIdle, IoprioClassIdle << IoprioClassShift);
        return (cpu, disk) switch
        {
            (true, true) => "SCHED_IDLE, idle I/O class",
            (true, false) => "SCHED_IDLE",
            (false, true) => "idle I/O class",
            _ => "none",
        };
    }

    /// <summary>
    /// Undoes it, as far as that needs no privilege: for the moments in which the instance waits for this process, which must not
    /// wait in turn until the instance is idle.
    /// </summary>
    public static void Lift() => Set(SchedOther, (IoprioClassBestEffort << IoprioClassShift) | IoprioDefault);

    private static (bool Cpu, bool Disk) Set(int policy, int ioprio)
    {
        bool cpu = true, disk = true;
        foreach (string task in Directory.EnumerateDirectories("/proc/self/task"))
        {
            int thread = int.Parse(Path.GetFileName(task), provider: null);
            cpu &= Libc.SetScheduler(thread, policy, priority: 0) == 0;
            disk &= Libc.ioprio_set(IoprioWhoProcess, thread, ioprio) == 0;
        }

        return (cpu, disk);
    }
}
