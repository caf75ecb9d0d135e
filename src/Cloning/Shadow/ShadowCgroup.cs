namespace Cloning.Shadow;

/// <summary>
/// A cgroup for the shadow beside the instance's own, with cpu.idle set (cgroup v2). Where the host gives no right to make one,
/// the shadow runs without: <see cref="IdlePriority"/> still holds.
/// </summary>
public sealed class ShadowCgroup : IDisposable
{
    private const string Root = "/sys/fs/cgroup";
    private readonly string? _path;

    private ShadowCgroup(string? path) => _path = path;

    /// <summary>Whether there is one.</summary>
    public bool Exists => _path is not null;

    /// <summary>Makes one for a process and moves the process into it.</summary>
    /// <param name="instance">The instance's name.</param>
    /// <param name="pid">The shadow's process.</param>
    public static ShadowCgroup Create(string instance, int pid)
    {
        if (!File.Exists(Path.Combine(Root, "cgroup.controllers"))) return new ShadowCgroup(null);
        string path = Path.Combine(Root, $"bgkvm-{instance}-shadow-{pid}");
        try
        {
            Directory.CreateDirectory(path);
            // cpu.idle only exists where the parent hands the cpu controller down.
            string idle = Path.Combine(path, "cpu.idle");
            if (File.Exists(idle)) File.WriteAllText(idle, "1");
            File.WriteAllText(Path.Combine(path, "cgroup.procs"), pid.ToString(provider: null));
            return new ShadowCgroup(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            TryRemove(path);
            return new ShadowCgroup(null);
        }
    }

    /// <summary>Gives its process an ordinary share: the instance waits for it now.</summary>
    public void Lift()
    {
        string? idle = _path is null ? null : Path.Combine(_path, "cpu.idle");
        if (File.Exists(idle)) File.WriteAllText(idle, "0");
    }

    /// <summary>Removes it. Its process is gone by then.</summary>
    public void Dispose()
    {
        if (_path is not null) TryRemove(_path);
    }

    private static void TryRemove(string path)
    {
        try
        {
            if (Directory.Exists(path)) Directory.Delete(path);
        }
        catch (IOException)
        {
            // A process that is still being torn down holds it for a moment; the next shadow of this name is another one.
        }
    }
}
