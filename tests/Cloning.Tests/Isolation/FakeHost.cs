using Cloning.Isolation;

namespace Cloning.Tests.Isolation;

/// <summary>A simulated host: a tree of files in which a new directory in a cgroup hierarchy gets the files the kernel would put there.</summary>
internal sealed class FakeHost : IIsolationHost
{
    public const int Shadow = 4711;

    private readonly Dictionary<string, string> _files = new()
    {
        [$"/proc/{Shadow}/oom_score_adj"] = "0",
    };

    private readonly HashSet<string> _directories = [];

    /// <summary>Whether threads may be given a better niceness than they have.</summary>
    public bool Privileged { get; init; }
    public int Processors { get; init; } = 2;

    /// <summary>Paths below which nothing may be made or written.</summary>
    public List<string> ReadOnly { get; } = [];

    /// <summary>Groups that still have a process.</summary>
    public List<string> Busy { get; } = [];

    /// <summary>What a kernel puts into a new group, by controller.</summary>
    public Dictionary<string, string[]> FilesOf { get; } = new()
    {
        ["cpu"] = ["cpu.weight", "cpu.idle"],
        ["io"] = ["io.weight", "io.prio.class"],
        ["memory"] = ["memory.high"],
        ["v1 cpu"] = ["cpu.shares", "cpu.idle"],
        ["v1 blkio"] = ["blkio.bfq.weight", "blkio.prio.class"],
    };

    public Dictionary<int, (int Policy, int Nice, int IoPriority)> Threads { get; } = new() { [Shadow] = default, [Shadow + 1] = default };

    public string this[string path] => _files[path];

    public IEnumerable<string> Groups => _directories.Where(path => path.Contains("shadow", StringComparison.Ordinal)).Order();

    /// <summary>A unified hierarchy: groups, each with what it hands down; the last is this process's.</summary>
    public FakeHost Unified(string at, params (string Path, string HandsDown)[] groups)
    {
        _files["/proc/self/mountinfo"] = Text("/proc/self/mountinfo") + $"30 23 0:26 / {at} rw,nosuid - cgroup2 cgroup2 rw\n";
        _files["/proc/self/cgroup"] = Text("/proc/self/cgroup") + $"0::{groups[^1].Path}\n";
        foreach ((string path, string handsDown) in groups)
        {
            string directory = path == "/" ? at : at + path;
            _directories.Add(directory);
            _files[directory + "/cgroup.controllers"] = "";
            _files[directory + "/cgroup.subtree_control"] = handsDown + "\n";
        }

        return this;
    }

    /// <summary>A hierarchy of version 1.</summary>
    public FakeHost Old(int number, string controllers, string at, string own, string root = "/")
    {
        _files["/proc/self/mountinfo"] = Text("/proc/self/mountinfo")
            + $"{30 + number} 23 0:3{number} {root} {at} rw,nosuid shared:{number} - cgroup cgroup rw,{controllers}\n";
        _files["/proc/self/cgroup"] = Text("/proc/self/cgroup") + $"{number}:{controllers}:{own}\n";
        _directories.Add(at);
        _directories.Add(at + own);
        return this;
    }

    public bool Exists(string path) => _files.ContainsKey(path) || _directories.Contains(path);

    public string? Read(string path) => _files.GetValueOrDefault(path);

    public string? Write(string path, string text)
    {
        if (Refuses(path)) return $"Access to the path '{path}' is denied.";
        // cpu.weight of an idle group cannot be set (EINVAL).
        if (Path.GetFileName(path) is "cpu.weight" or "cpu.shares" && _files.GetValueOrDefault(Path.GetDirectoryName(path) + "/cpu.idle") == "1")
            return $"Invalid argument : '{path}'";
        if (!_files.ContainsKey(path)) return $"Could not find file '{path}'.";
        _files[path] = text;
        return null;
    }

    public string? MakeDirectory(string path)
    {
        if (Refuses(path)) return $"Access to the path '{path}' is denied.";
        _directories.Add(path);
        string parent = Path.GetDirectoryName(path)!;
        IEnumerable<string> controllers = _files.TryGetValue(parent + "/cgroup.subtree_control", out string? handed)
            ? handed.Trim().Split(' ')
            : Path.GetFileName(parent.Split("/user")[0]).Split(',').Select(controller => "v1 " + controller);
        foreach (string file in controllers.SelectMany(controller => FilesOf.GetValueOrDefault(controller, []))) _files[$"{path}/{file}"] = "";
        _files[path + "/cgroup.procs"] = "";
        return null;
    }

    public void RemoveDirectory(string path)
    {
        if (Busy.Contains(path)) return;
        _directories.Remove(path);
        foreach (string file in _files.Keys.Where(file => file.StartsWith(path + "/", StringComparison.Ordinal)).ToArray()) _files.Remove(file);
    }

    public IEnumerable<string> Directories(string path, string pattern) =>
        _directories.Where(d => Path.GetDirectoryName(d) == path
            && System.IO.Enumeration.FileSystemName.MatchesSimpleExpression(pattern, Path.GetFileName(d)));

    public IEnumerable<int> Tasks(int pid) => pid == Shadow ? Threads.Keys.ToArray() : [];

    public bool SetScheduling(int task, uint policy, int nice)
    {
        (int oldPolicy, int oldNice, int ioPriority) = Threads[task];
        // sched(7): without the privilege niceness only grows, and SCHED_IDLE is not left.
        if (!Privileged && (nice < oldNice || (oldPolicy == 5 && policy != 5))) return false;
        Threads[task] = ((int)policy, nice, ioPriority);
        return true;
    }

    public bool SetIoPriority(int task, int priority)
    {
        Threads[task] = Threads[task] with { IoPriority = priority };
        return true;
    }

    private string Text(string path) => _files.GetValueOrDefault(path, "");

    private bool Refuses(string path) => ReadOnly.Any(below => path.StartsWith(below, StringComparison.Ordinal));
}
