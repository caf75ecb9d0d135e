using Kvm.Interop;

namespace TestKit;

/// <summary>The threads of this process, tests beside this one included.</summary>
public static class OwnThreads
{
    /// <summary>Their names now; empty for one that has ended while it was looked at.</summary>
    public static string[] Names() => [.. Directory.GetDirectories("/proc/self/task").Select(NameOf)];

    /// <summary>How the calling one is scheduled.</summary>
    public static unsafe SchedAttr Scheduling()
    {
        SchedAttr attributes;
        // SAFETY: the kernel writes one structure, a local.
        return Libc.sched_getattr(0, &attributes) == 0 ? attributes : throw LibcException.FromLastError("sched_getattr");
    }

    private static string NameOf(string thread)
    {
        try
        {
            return File.ReadAllText($"{thread}/comm").Trim();
        }
        catch (IOException)
        {
            return "";
        }
    }
}
