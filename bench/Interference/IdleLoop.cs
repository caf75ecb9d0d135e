using System.Diagnostics;
using System.Globalization;

namespace Interference;

/// <summary>A process that does nothing but count, in a cgroup with cpu.idle: the least that any background work on this host costs.</summary>
internal sealed class IdleLoop : IDisposable
{
    private const string Root = "/sys/fs/cgroup", Group = $"{Root}/bgkvm-idle-loop";
    private readonly Process _process;

    /// <summary>Starts it.</summary>
    public IdleLoop()
    {
        Directory.CreateDirectory(Group);
        Set("cpu.idle", "1");
        _process = Process.Start("/bin/sh", ["-c", "while :; do :; done"]);
        Set("cgroup.procs", _process.Id.ToString(CultureInfo.InvariantCulture));
    }

    /// <summary>Looks at the host, and ends what a measurement that was killed has left on it.</summary>
    /// <returns>What the host lacks; null for nothing.</returns>
    public static string? Lack()
    {
        // Under version 1 this is an ordinary folder, in which the files above would be ordinary ones.
        if (!File.Exists($"{Root}/cgroup.controllers")) return $"an idle loop needs cgroup v2 at {Root}";
        try
        {
            File.WriteAllText($"{Root}/cgroup.subtree_control", "+cpu");
            Directory.CreateDirectory(Group);
            if (File.Exists($"{Group}/cpu.idle"))
            {
                Set("cgroup.kill", "1");
                return null;
            }

            Directory.Delete(Group);
            return "an idle loop needs cpu.idle (Linux 5.15)";
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return $"an idle loop needs a cgroup of its own: {e.Message}";
        }
    }

    /// <summary>Ends it.</summary>
    public void Dispose()
    {
        _process.Kill();
        _process.WaitForExit();
        _process.Dispose();
        Directory.Delete(Group);
    }

    private static void Set(string file, string value) => File.WriteAllText($"{Group}/{file}", value);
}
