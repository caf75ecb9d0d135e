using System.Diagnostics;
using System.Globalization;

namespace Os.Tests.Driver;

/// <summary>Processes of the host, by id.</summary>
internal static class Processes
{
    /// <summary>Whether there is one; an ended one that nobody has waited for counts.</summary>
    public static bool Exists(int pid) => Directory.Exists($"/proc/{pid}");

    /// <summary>kill -9, and waits until it is gone.</summary>
    public static void Kill(int pid)
    {
        using Process process = Process.GetProcessById(pid);
        process.Kill();
        if (!process.WaitForExit(Limits.Command)) throw new TimeoutException($"Process {pid} does not end");
    }

    /// <summary>Waits until one is gone.</summary>
    public static void WaitGone(int pid)
    {
        try
        {
            using Process process = Process.GetProcessById(pid);
            if (!process.WaitForExit(Limits.Command)) throw new TimeoutException($"Process {pid} does not end");
        }
        catch (ArgumentException)
        {
            // It is gone already.
        }
    }

    /// <summary>Its children, ended ones that it has not waited for included.</summary>
    public static int[] ChildrenOf(int parent) =>
        [.. Directory.EnumerateDirectories("/proc")
            .Select(path => int.TryParse(Path.GetFileName(path), NumberStyles.None, CultureInfo.InvariantCulture, out int pid) ? pid : 0)
            .Where(pid => pid > 0 && ParentOf(pid) == parent)];

    /// <summary>What its open descriptors are: paths, or the kernel's names for what has none.</summary>
    public static string[] DescriptorsOf(int pid) =>
        [.. new DirectoryInfo($"/proc/{pid}/fd").EnumerateFileSystemInfos().Select(fd => fd.LinkTarget ?? "")];

    /// <summary>How often its threads have come onto a processor so far (<c>/proc/PID/schedstat</c>, Documentation/scheduler/sched-stats.rst).</summary>
    public static long SwitchesOf(int pid) =>
        Directory.EnumerateDirectories($"/proc/{pid}/task")
            .Sum(task => long.Parse(File.ReadAllText($"{task}/schedstat").Split(' ')[2], CultureInfo.InvariantCulture));

    /// <summary>The cgroups of an instance's shadows.</summary>
    public static string[] ShadowCgroupsOf(string instance) =>
        Directory.Exists("/sys/fs/cgroup") ? Directory.GetDirectories("/sys/fs/cgroup", $"bgkvm-{instance}-*") : [];

    private static int ParentOf(int pid)
    {
        try
        {
            // proc_pid_stat(5): the name, in parentheses, may hold anything; the parent is the second field after it.
            string stat = File.ReadAllText($"/proc/{pid}/stat");
            return int.Parse(stat[(stat.LastIndexOf(')') + 2)..].Split(' ')[1], CultureInfo.InvariantCulture);
        }
        catch (IOException)
        {
            return 0; // it ended meanwhile
        }
    }
}
