using System.Globalization;
using System.Text;
using Bgkvm.Commands;
using Cloning.Instances;
using Kvm.Interop;

namespace Bgkvm.Hosting;

/// <summary>What can be told to be wrong before a process is started for it. Every finding is one line and an exit code.</summary>
internal static class Preflight
{
    // sizeof(sockaddr_un.sun_path) less the terminating zero.
    private const int MaximumSocketPathBytes = 107;

    /// <summary>Checks all of it.</summary>
    /// <exception cref="InstanceException">The first thing found.</exception>
    public static void Check(InstanceDirectory directory, InstanceConfig config)
    {
        CheckSocketPath(directory);
        CheckReadyPattern(config.ReadyPattern);
        if (config.ReadyCommand is { } command && string.IsNullOrWhiteSpace(command))
            throw new InstanceException("The ready command is empty and would succeed at once", ExitCode.Usage);
        if (config.Kernel is { } kernel) CheckFile("kernel", kernel, Libc.O_RDONLY);
        if (config.Firmware is { } firmware) CheckFile("firmware", firmware, Libc.O_RDONLY);
        if (config.Initrd is { } initrd) CheckFile("initrd", initrd, Libc.O_RDONLY);
        foreach (DiskConfig disk in config.Disks)
            CheckFile(disk.Persistent ? "persistent disk" : "disk", disk.Path, disk.Persistent ? Libc.O_RDWR : Libc.O_RDONLY);
        CheckDisksDiffer(config);
        DiskClaims.Check(config);
        CheckMemory(config.MemoryMiB, File.ReadAllText("/proc/meminfo"));
    }

    /// <summary>A Unix socket's path is short (unix(7)).</summary>
    internal static void CheckSocketPath(InstanceDirectory directory)
    {
        int bytes = Encoding.UTF8.GetByteCount(directory.ControlSocket);
        if (bytes > MaximumSocketPathBytes)
        {
            throw new InstanceException(
                $"the socket {directory.ControlSocket} would have {bytes} bytes in its path; Linux allows "
                + $"{MaximumSocketPathBytes}: use a shorter name or set BGKVM_HOME to a shorter path");
        }
    }

    private static void CheckReadyPattern(string pattern)
    {
        if (pattern.Length == 0)
            throw new InstanceException("The ready pattern is empty and would match at once", ExitCode.Usage);
        _ = ReadyWatch.Parse(pattern);
    }

    private static void CheckDisksDiffer(InstanceConfig config)
    {
        HashSet<string> seen = new(StringComparer.Ordinal);
        foreach (string path in config.Disks.Select(disk => disk.Path))
        {
            string real = File.ResolveLinkTarget(path, returnFinalTarget: true)?.FullName ?? path;
            if (!seen.Add(real)) throw new InstanceException($"{path} is given twice", ExitCode.Usage);
        }
    }

    private static void CheckFile(string what, string path, int access)
    {
        if (Directory.Exists(path)) throw new InstanceException($"the {what} {path} is a directory");
        // Opening is the only honest test of permission. Non-blocking, for what turns out to be a pipe.
        using SafeFd file = new(Libc.open(path, access | Libc.O_NONBLOCK | Libc.O_CLOEXEC, 0));
        if (!file.IsInvalid) return;
        LibcException error = LibcException.FromLastError("open", path);
        throw new InstanceException(
            error.Errno switch
            {
                Libc.ENOENT => $"the {what} {path} does not exist",
                Libc.EACCES => $"the {what} {path} is not {(access == Libc.O_RDWR ? "writable" : "readable")} for you",
                _ => $"the {what} {path} cannot be opened: {error.Message}",
            },
            inner: error);
    }

    /// <summary>Guest memory must fit into what the host can give.</summary>
    /// <param name="wantedMiB">Guest memory, MiB.</param>
    /// <param name="meminfo">The text of /proc/meminfo.</param>
    internal static void CheckMemory(int wantedMiB, string meminfo)
    {
        long total = MeminfoMiB(meminfo, "MemTotal"), available = MeminfoMiB(meminfo, "MemAvailable");
        if (wantedMiB > total)
        {
            throw new InstanceException(
                $"{MemorySize.Format(wantedMiB)} of guest memory is more than the host's {total}M: ask for less with --memory",
                ExitCode.HostLacks);
        }

        if (wantedMiB > available)
        {
            throw new InstanceException(
                $"{MemorySize.Format(wantedMiB)} of guest memory is more than the {available}M the host has available: "
                + "stop something, or ask for less with --memory",
                ExitCode.HostLacks);
        }
    }

    private static long MeminfoMiB(string meminfo, string field)
    {
        string line = meminfo.Split('\n').First(l => l.StartsWith(field + ":", StringComparison.Ordinal));
        return long.Parse(line[(field.Length + 1)..].Replace("kB", "", StringComparison.Ordinal), CultureInfo.InvariantCulture) / 1024;
    }
}
