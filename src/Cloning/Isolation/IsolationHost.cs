using System.Globalization;
using Kvm.Interop;

namespace Cloning.Isolation;

/// <summary>The host as it is.</summary>
internal sealed class IsolationHost : IIsolationHost
{
    private const int IoprioWhoProcess = 1;

    /// <inheritdoc/>
    public int Processors => Environment.ProcessorCount;

    /// <inheritdoc/>
    public bool Exists(string path) => Path.Exists(path);

    /// <inheritdoc/>
    public string? Read(string path)
    {
        try
        {
            return File.ReadAllText(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <inheritdoc/>
    public string? Write(string path, string text) => Try(() =>
    {
        // Not created: a cgroup's directory cannot hold files of ours, and other file systems should not.
        using FileStream file = new(path, FileMode.Open, FileAccess.Write);
        file.Write(System.Text.Encoding.ASCII.GetBytes(text));
    });

    /// <inheritdoc/>
    public string? MakeDirectory(string path) => Try(() => Directory.CreateDirectory(path));

    /// <inheritdoc/>
    public void RemoveDirectory(string path) => _ = Try(() =>
    {
        if (Directory.Exists(path)) Directory.Delete(path);
    });

    /// <inheritdoc/>
    public IEnumerable<string> Directories(string path, string pattern) =>
        Directory.Exists(path) ? Directory.EnumerateDirectories(path, pattern) : [];

    /// <inheritdoc/>
    public IEnumerable<int> Tasks(int pid)
    {
        try
        {
            return [.. Directory.EnumerateDirectories($"/proc/{pid}/task")
                .Select(task => int.Parse(Path.GetFileName(task), CultureInfo.InvariantCulture))];
        }
        catch (IOException)
        {
            return []; // it has ended meanwhile
        }
    }

    /// <inheritdoc/>
    public unsafe bool SetScheduling(int task, uint policy, int nice)
    {
        SchedAttr attributes = new() { Size = (uint)sizeof(SchedAttr), Policy = policy, Nice = nice };
        // SAFETY: the kernel reads a struct sched_attr, a local.
        return Libc.sched_setattr(task, &attributes) == 0;
    }

    /// <inheritdoc/>
    public bool SetIoPriority(int task, int priority) => Libc.ioprio_set(IoprioWhoProcess, task, priority) == 0;

    private static string? Try(Action action)
    {
        try
        {
            action();
            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return e.Message;
        }
    }
}
