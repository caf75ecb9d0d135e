using System.Globalization;
using Kvm.Interop;
using VirtioBlk.Turns;

namespace Cloning.Isolation;

/// <summary>
/// Keeps a shadow on what its instance leaves over, as far as the host lets this process say so: cgroups, where they can be made;
/// else scheduling policy, niceness and I/O class of its threads. Applied from outside, by the instance, to a shadow that has no
/// workers yet: threads started later inherit it.
/// </summary>
/// <remarks>
/// Whoever is waited for must not be idle, and that goes for the end of a process too: on a host with every CPU busy the kernel
/// spins in wait4 until a dying idle task gets its turn to let go of its /proc entries. So <see cref="Lift"/> comes before every
/// wait. SCHED_IDLE is a one-way street for an unprivileged process (sched(7)), so it is used only where it can be undone.
/// </remarks>
internal sealed class ShadowIsolation : IDisposable
{
    /// <summary>Memory of a shadow beside its guest's: the monitor, page tables, and as much page cache as it may fill.</summary>
    public const long MemoryHeadroomBytes = 128L << 20;

    private const int IoClassShift = 13, IoClassBestEffort = 2, IoClassIdle = 3, LowestIoPriority = 7;

    // By priority: idle, low, normal.
    private static readonly int[] s_nice = [19, 10, 0];
    private static readonly int[] s_ioPriority = [IoClassIdle << IoClassShift, (IoClassBestEffort << IoClassShift) | LowestIoPriority, 0];
    private static readonly TimeSpan[] s_preemption = [BackgroundTurns.IdleInterval, TimeSpan.Zero, TimeSpan.FromTicks(-1)];
    private static readonly string[] s_cpuIdle = ["1", "0", "0"];
    private static readonly string[] s_cpuShares = ["2", "102", "1024"];
    private static readonly string[] s_weight = ["1", "10", "100"];
    private static readonly string[] s_ioClass = ["idle", "restrict-to-be", "no-change"];

    private readonly Lock _gate = new();
    private readonly IIsolationHost _host;
    private readonly int _pid;
    private readonly ShadowGroups _groups;
    private readonly DiskActivity _foreground;
    private readonly bool _mayRaise;
    private readonly IsolationMeasure[] _memory;
    private bool _lifted;

    private ShadowIsolation(IIsolationHost host, string instance, int pid, long guestBytes, DiskActivity foreground)
    {
        _foreground = foreground;
        _host = host;
        _pid = pid;
        _groups = ShadowGroups.Join(host, instance, pid);
        // Asked of the host rather than guessed from capabilities and limits: who may go below 0 may go back to it.
        _mayRaise = host.SetScheduling(pid, SchedAttr.SCHED_OTHER, -1) && host.SetScheduling(pid, SchedAttr.SCHED_OTHER, 0);
        _memory =
        [
            InGroup(IsolatedResource.Memory, "memory", "memory.high",
                (guestBytes + MemoryHeadroomBytes).ToString(CultureInfo.InvariantCulture)) ?? NoGroup(IsolatedResource.Memory, "memory", "memory.high"),
            Wrote(IsolatedResource.Memory, "oom_score_adj", $"/proc/{pid}/oom_score_adj", "1000"),
        ];
        Report = new IsolationReport(RebootPriority.Normal, null, []);
    }

    /// <summary>What is in force.</summary>
    public IsolationReport Report { get; private set; }

    /// <summary>Applies what this host allows.</summary>
    /// <param name="host">The host.</param>
    /// <param name="instance">The instance's name.</param>
    /// <param name="pid">The shadow.</param>
    /// <param name="guestBytes">Memory of its guest.</param>
    /// <param name="foreground">The instance's use of the host's disks, which the shadow waits for.</param>
    /// <param name="priority">What it is to have.</param>
    public static ShadowIsolation Apply(
        IIsolationHost host, string instance, int pid, long guestBytes, DiskActivity foreground, RebootPriority priority)
    {
        ShadowIsolation applied = new(host, instance, pid, guestBytes, foreground);
        applied.Set(priority);
        return applied;
    }

    /// <summary>Gives the shadow the next higher priority, as far as the host allows. Any thread.</summary>
    public void Raise()
    {
        lock (_gate)
            if (!_lifted && Report.Priority < RebootPriority.Normal) Set(Report.Priority + 1);
    }

    /// <summary>
    /// Gives the shadow an ordinary share, for good: somebody is waiting for it now. What is reported stays what was in force
    /// while it worked.
    /// </summary>
    public void Lift()
    {
        lock (_gate)
        {
            if (_lifted) return;
            _lifted = true;
            // Its memory is the new OS's from now on, and nobody is to be slowed down for it.
            if (_groups.FileOf("memory", "memory.high") is { } high) _ = _host.Write(high, "max");
            _ = Cpu(RebootPriority.Normal);
            _ = Disk(RebootPriority.Normal);
        }
    }

    /// <summary>Removes the cgroups. The shadow is gone by then.</summary>
    public void Dispose() => _groups.Dispose();

    private void Set(RebootPriority priority)
    {
        IsolationMeasure[] measures = [.. Cpu(priority), .. Disk(priority), .. _memory, Regulator(priority)];
        Report = new IsolationReport(priority, priority == RebootPriority.Normal ? null : Missing(measures), measures);
    }

    private static string? Missing(IsolationMeasure[] measures)
    {
        List<string> missing = [];
        if (!Array.Exists(measures, m => m is { Resource: IsolatedResource.Cpu, Applied: true, Mechanism: not "nice" }))
            missing.Add($"CPU time by niceness only ({measures.First(m => m is { Resource: IsolatedResource.Cpu, Applied: false }).Detail})");
        if (measures.FirstOrDefault(m => m is { Mechanism: "memory.high", Applied: false }) is { } memory)
            missing.Add($"memory by oom_score_adj only ({memory.Detail})");
        return missing.Count == 0 ? null : string.Join("; ", missing);
    }

    private IsolationMeasure[] Cpu(RebootPriority priority)
    {
        int level = (int)priority;
        IsolationMeasure? idle = InGroup(IsolatedResource.Cpu, "cpu", "cpu.idle", s_cpuIdle[level]);
        // A group that is idle has no weight, and one that has neither idle nor weight is of version 1.
        IsolationMeasure? weight = idle is { Applied: true } && priority == RebootPriority.Idle ? null
            : InGroup(IsolatedResource.Cpu, "cpu", "cpu.weight", s_weight[level])
                ?? InGroup(IsolatedResource.Cpu, "cpu", "cpu.shares", s_cpuShares[level]);
        IsolationMeasure[] grouped = [.. new[] { idle, weight }.OfType<IsolationMeasure>()];
        if (grouped.Any(m => m.Applied)) return grouped;
        if (grouped.Length == 0) grouped = [NoGroup(IsolatedResource.Cpu, "cpu", "cpu.idle")];
        return [.. grouped, Threads(priority)];
    }

    private IsolationMeasure Threads(RebootPriority priority)
    {
        int nice = s_nice[(int)priority];
        uint policy = priority == RebootPriority.Idle && _mayRaise ? SchedAttr.SCHED_IDLE : SchedAttr.SCHED_OTHER;
        bool done = ForEachTask(task => _host.SetScheduling(task, policy, nice));
        string mechanism = policy == SchedAttr.SCHED_IDLE ? "SCHED_IDLE" : "nice";
        return new(IsolatedResource.Cpu, mechanism, done, done ? $"nice {nice} on every thread" : "the host does not let it be raised again");
    }

    private IsolationMeasure[] Disk(RebootPriority priority)
    {
        int level = (int)priority;
        IsolationMeasure?[] grouped =
        [
            InGroup(IsolatedResource.Disk, "io", "io.weight", s_weight[level]),
            InGroup(IsolatedResource.Disk, "io", "io.bfq.weight", s_weight[level]) ?? InGroup(IsolatedResource.Disk, "io", "blkio.bfq.weight", s_weight[level]),
            InGroup(IsolatedResource.Disk, "io", "io.prio.class", s_ioClass[level]) ?? InGroup(IsolatedResource.Disk, "io", "blkio.prio.class", s_ioClass[level]),
        ];
        IEnumerable<IsolationMeasure> found = grouped.OfType<IsolationMeasure>();
        if (!found.Any()) found = [NoGroup(IsolatedResource.Disk, "io", "io.weight")];
        bool done = ForEachTask(task => _host.SetIoPriority(task, s_ioPriority[level]));
        _foreground.PreemptionInterval = s_preemption[level];
        return [.. found, Limiter(priority), new(IsolatedResource.Disk, "ioprio", done,
            done ? $"class {s_ioPriority[level] >> IoClassShift} on every thread; counts with the schedulers bfq and mq-deadline" : "the host does not let it be set")];
    }

    private static IsolationMeasure Limiter(RebootPriority priority) => new(IsolatedResource.Disk, "limiter", priority != RebootPriority.Normal,
        priority == RebootPriority.Normal ? "not at this priority"
            : $"waits while the instance's disks work, and {s_preemption[(int)priority].TotalMilliseconds:0} ms after that");

    private IsolationMeasure Regulator(RebootPriority priority)
    {
        bool applied = priority == RebootPriority.Idle && _host.Processors > 1;
        return new(IsolatedResource.Memory, "regulator", applied,
            applied ? string.Create(CultureInfo.InvariantCulture, $"rests where its running makes memory answer {MemoryRegulator.Harm} times as slowly and the instance is at work")
                : priority == RebootPriority.Idle ? "one processor: CPU time shares memory out" : "not at this priority");
    }

    /// <returns>Whether it worked for all threads, those included that appeared meanwhile.</returns>
    private bool ForEachTask(Func<int, bool> set)
    {
        bool all = true;
        HashSet<int> seen = [];
        while (true)
        {
            int[] found = [.. _host.Tasks(_pid).Where(seen.Add)];
            if (found.Length == 0) return all && seen.Count > 0;
            foreach (int task in found) all &= set(task);
        }
    }

    private IsolationMeasure? InGroup(IsolatedResource resource, string controller, string file, string value) =>
        _groups.FileOf(controller, file) is { } path ? Wrote(resource, file, path, value) : null;

    private IsolationMeasure NoGroup(IsolatedResource resource, string controller, string file) =>
        new(resource, file, false, _groups.Problem(controller));

    private IsolationMeasure Wrote(IsolatedResource resource, string mechanism, string path, string value)
    {
        string? problem = _host.Write(path, value);
        return new(resource, mechanism, problem is null, problem ?? $"{value} in {Path.GetDirectoryName(path)}");
    }
}
