namespace Cloning.Isolation;

/// <summary>What isolation needs of the host: its files, and the scheduling of threads. Paths are absolute.</summary>
internal interface IIsolationHost
{
    /// <summary>How many processors this process may use.</summary>
    int Processors { get; }

    /// <summary>Whether a file or a directory is there.</summary>
    bool Exists(string path);

    /// <summary>A file's text, or null where it cannot be read.</summary>
    string? Read(string path);

    /// <summary>Writes a file that exists.</summary>
    /// <returns>Null, or why not.</returns>
    string? Write(string path, string text);

    /// <summary>Makes a directory.</summary>
    /// <returns>Null, or why not.</returns>
    string? MakeDirectory(string path);

    /// <summary>Removes an empty directory, if it lets itself be removed.</summary>
    void RemoveDirectory(string path);

    /// <summary>Directories in a directory whose names match.</summary>
    IEnumerable<string> Directories(string path, string pattern);

    /// <summary>The threads of a process; none when it is gone.</summary>
    IEnumerable<int> Tasks(int pid);

    /// <summary>sched_setattr(2).</summary>
    /// <returns>Whether the host allowed it.</returns>
    bool SetScheduling(int task, uint policy, int nice);

    /// <summary>ioprio_set(2).</summary>
    /// <returns>Whether the host allowed it.</returns>
    bool SetIoPriority(int task, int priority);
}
