using Kvm.Interop;

namespace Cloning.Shadow;

/// <summary>
/// Keeps a shadow on left-over time: a cgroup of its own with cpu.idle (cgroup v2) where the host lets one be made, else nice 19;
/// the idle I/O class in either case. Applied from outside, by the instance, to a shadow that has no workers yet: threads
/// started later inherit it.
/// </summary>
/// <remarks>
/// Whoever is waited for must not be idle, and that goes for the end of a process too: on a host with every CPU busy the kernel
/// spins in wait4 until a dying idle task gets its turn to let go of its /proc entries. So <see cref="Lift"/> comes before every
/// wait, and SCHED_IDLE, which nobody could undo for a shadow that somebody else has killed, is not used.
/// </remarks>
internal sealed class ShadowIsolation : IDisposable
{
    private const string Root = "/sys/fs/cgroup";
    private const int LowestNice = 19, IoprioWhoProcess = 1, IoprioClassIdle = 3, IoprioClassShift = 13;

    private readonly int _pid;
    private readonly string? _cgroup;

    private ShadowIsolation(int pid, string? cgroup)
    {
        _pid = pid;
        _cgroup = cgroup;
    }

    /// <summary>Applies what this host allows.</summary>
    /// <param name="instance">The instance's name.</param>
    /// <param name="pid">The shadow.</param>
    public static ShadowIsolation Apply(string instance, int pid)
    {
        _ = Libc.ioprio_set(IoprioWhoProcess, pid, IoprioClassIdle << IoprioClassShift);
        string? cgroup = TryMakeCgroup(Path.Combine(Root, Name(instance, pid.ToString(provider: null))), pid);
        if (cgroup is null) _ = Libc.SetNice(pid, LowestNice);
        return new ShadowIsolation(pid, cgroup);
    }

    /// <summary>Gives the shadow an ordinary share, as far as the host allows: somebody is waiting for it now.</summary>
    public void Lift()
    {
        try
        {
            if (_cgroup is not null) File.WriteAllText(Path.Combine(_cgroup, "cpu.idle"), "0");
            else
                foreach (string task in Directory.EnumerateDirectories($"/proc/{_pid}/task"))
                    _ = Libc.SetNice(int.Parse(Path.GetFileName(task), provider: null), 0);
        }
        catch (IOException)
        {
            // It has ended meanwhile.
        }
    }

    /// <summary>Removes the cgroups of shadows that were killed together with their instance.</summary>
    /// <remarks>A shadow cannot remove its own: the kernel's worker for its VM is in there until the process is gone.</remarks>
    /// <param name="instance">The instance's name. A cgroup that still has a process in it stays.</param>
    public static void Sweep(string instance)
    {
        if (!Directory.Exists(Root)) return;
        foreach (string left in Directory.EnumerateDirectories(Root, Name(instance, "*"))) TryRemove(left);
    }

    /// <summary>Removes the cgroup. The shadow is gone by then.</summary>
    public void Dispose()
    {
        if (_cgroup is not null) TryRemove(_cgroup);
    }

    private static string Name(string instance, string pid) => $"bgkvm-{instance}-shadow-{pid}";

    private static string? TryMakeCgroup(string path, int pid)
    {
        if (!File.Exists(Path.Combine(Root, "cgroup.controllers"))) return null;
        try
        {
            Directory.CreateDirectory(path);
            // There only where the parent hands the cpu controller down.
            File.WriteAllText(Path.Combine(path, "cpu.idle"), "1");
            File.WriteAllText(Path.Combine(path, "cgroup.procs"), pid.ToString(provider: null));
            return path;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            TryRemove(path);
            return null;
        }
    }

    private static void TryRemove(string path)
    {
        try
        {
            if (Directory.Exists(path)) Directory.Delete(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Not ours to remove, or still busy for a moment: an empty cgroup costs nothing, and its name is not used again.
        }
    }
}
