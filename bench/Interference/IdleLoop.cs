using System.Diagnostics;
using System.Globalization;

namespace Interference;

/// <summary>A process that does nothing but count, in a cgroup with cpu.idle: the least that any background work on this host costs.</summary>
internal sealed class IdleLoop : IDisposable
{
    private readonly string _group = Directory.CreateDirectory("/sys/fs/cgroup/bgkvm-idle-loop").FullName;
    private readonly Process _process;

    /// <summary>Starts it.</summary>
    public IdleLoop()
    {
        File.WriteAllText(Path.Combine(_group, "cpu.idle"), "1");
        _process = Process.Start("/bin/sh", ["-c", "while :; do :; done"]);
        File.WriteAllText(Path.Combine(_group, "cgroup.procs"), _process.Id.ToString(CultureInfo.InvariantCulture));
    }

    /// <summary>Ends it.</summary>
    public void Dispose()
    {
        _process.Kill();
        _process.WaitForExit();
        _process.Dispose();
        Directory.Delete(_group);
    }
}
