using System.Diagnostics;
using Cloning.Tests.Disks;
using Xunit;

namespace Cloning.Tests.Faults;

/// <summary>Real faults of a real host, made from outside of the product. They need root.</summary>
internal static class HostFaults
{
    /// <summary>kill -9.</summary>
    public static void Kill(int pid)
    {
        using Process process = Process.GetProcessById(pid);
        process.Kill();
    }

    /// <summary>SIGSTOP: it hangs.</summary>
    public static void Suspend(int pid) => Do("kill", "-STOP", $"{pid}");

    /// <summary>setrlimit: from now on it gets no further address space.</summary>
    public static void ForbidMappings(int pid) => Do("prlimit", $"--pid={pid}", "--as=4096");

    /// <summary>Moves it into a memory cgroup that is too small for it: the kernel's OOM killer takes it.</summary>
    /// <returns>Disposing removes the cgroup.</returns>
    public static IDisposable Starve(int pid)
    {
        const string v1 = "/sys/fs/cgroup/memory", v2 = "/sys/fs/cgroup";
        bool isV1 = File.Exists(Path.Combine(v1, "memory.limit_in_bytes"));
        if (!isV1) File.WriteAllText(Path.Combine(v2, "cgroup.subtree_control"), "+memory");
        string group = Path.Combine(isV1 ? v1 : v2, $"bgkvm-test-starved-{pid}");
        Directory.CreateDirectory(group);
        File.WriteAllText(Path.Combine(group, isV1 ? "memory.limit_in_bytes" : "memory.max"), $"{1 << 20}");
        if (!isV1) File.WriteAllText(Path.Combine(group, "memory.swap.max"), "0");
        File.WriteAllText(Path.Combine(group, "cgroup.procs"), $"{pid}");
        return new Undo(() => Directory.Delete(group));
    }

    /// <summary>chattr +i: nothing in the folder can be made, renamed or removed.</summary>
    public static IDisposable Petrify(string folder)
    {
        Do("chattr", "+i", folder);
        return new Undo(() => Do("chattr", "-i", folder));
    }

    /// <summary>Writes a file until the file system is full.</summary>
    public static IDisposable Fill(string folder)
    {
        string filler = Path.Combine(folder, "filler");
        byte[] block = new byte[4096];
        try
        {
            using FileStream file = new(filler, FileMode.Create, FileAccess.Write, FileShare.None, bufferSize: 0);
            while (true) file.Write(block);
        }
        catch (IOException)
        {
            return new Undo(() => File.Delete(filler));
        }
    }

    /// <summary>Mounts a small file system of its own.</summary>
    public static IDisposable MountSmall(string folder, int mebibytes)
    {
        Directory.CreateDirectory(folder);
        Do("mount", "-t", "tmpfs", "-o", $"size={mebibytes}m", "bgkvm-test", folder);
        return new Undo(() => Do("umount", folder));
    }

    /// <summary>A block device over a file.</summary>
    /// <returns>Its path; disposing detaches it.</returns>
    public static (string Device, IDisposable Detach) Loop(string file)
    {
        string device = Do("losetup", "--find", "--show", file).Trim();
        return (device, new Undo(() => Do("losetup", "--detach", device)));
    }

    /// <summary>Takes the file under a loop device away: the device answers EIO.</summary>
    public static IDisposable Hollow(string device, string file)
    {
        long length = new FileInfo(file).Length;
        SetLength(file, 0);
        Do("blockdev", "--flushbufs", device); // nothing of it is answered from memory
        return new Undo(() => SetLength(file, length));
    }

    /// <summary>fsfreeze: whoever writes there waits, in the middle of the system call, until it is disposed.</summary>
    public static IDisposable Freeze(string mount)
    {
        Do("fsfreeze", "--freeze", mount);
        return new Undo(() => Do("fsfreeze", "--unfreeze", mount));
    }

    /// <summary>Runs a tool of the host that has to work.</summary>
    public static string Do(string program, params string[] args)
    {
        (int status, string output) = Tool.Run(program, args);
        Assert.True(status == 0, $"{program} {string.Join(' ', args)} ended with {status}: {output}");
        return output;
    }

    private static void SetLength(string file, long length)
    {
        using FileStream opened = new(file, FileMode.Open, FileAccess.Write, FileShare.ReadWrite);
        opened.SetLength(length);
    }

    private sealed class Undo(Action action) : IDisposable
    {
        private Action? _action = action;

        public void Dispose() => Interlocked.Exchange(ref _action, null)?.Invoke();
    }
}
