using Cloning.Instances;
using Kvm.Interop;

namespace Bgkvm.Hosting;

/// <summary>
/// The lock that makes an instance's process the only one: an open-file-description lock (fcntl(2)), held from before the first
/// change to the directory until the process is gone, however it goes. An instance runs exactly when its lock is held.
/// </summary>
/// <remarks><c>start</c> takes it and the instance's process inherits it, so there is no moment between the two.</remarks>
internal sealed unsafe class InstanceLock : IDisposable
{
    private readonly SafeFd _file;

    private InstanceLock(SafeFd file) => _file = file;

    /// <summary>The locked descriptor.</summary>
    public SafeFd Descriptor => _file;

    /// <summary>Takes the lock.</summary>
    /// <returns>Null when another process has it.</returns>
    /// <exception cref="LibcException">The lock file cannot be made.</exception>
    public static InstanceLock? TryAcquire(InstanceDirectory directory)
    {
        while (true)
        {
            SafeFd file = new(Libc.open(directory.Lock, Libc.O_RDWR | Libc.O_CREAT | Libc.O_CLOEXEC, 0x180 /* 0600 */));
            if (file.IsInvalid) throw LibcException.FromLastError("open", directory.Lock);
            FileRangeLock wanted = new() { Type = Libc.F_WRLCK };
            // SAFETY: the kernel reads a struct flock from a local.
            if (Libc.fcntl(file.Fd, Libc.F_OFD_SETLK, (nint)(&wanted)) != 0)
            {
                file.Dispose();
                return null;
            }

            InstanceLock held = new(file);
            if (held.Guards(directory)) return held;
            held.Dispose();
        }
    }

    /// <summary>
    /// Whether what is locked is the file that everybody else finds. A delete may have removed it between open and lock, and a start
    /// may have made, and locked, another one since: then this lock guards nothing.
    /// </summary>
    internal bool Guards(InstanceDirectory directory)
    {
        const int AtFdCwd = -100;
        StatX own, found;
        // SAFETY: statx fills the structs, which have the kernel's size.
        if (Libc.statx(_file.Fd, "", Libc.AT_EMPTY_PATH, Libc.STATX_BASIC_STATS, &own) != 0)
            throw LibcException.FromLastError("statx", directory.Lock);
        return Libc.statx(AtFdCwd, directory.Lock, 0, Libc.STATX_BASIC_STATS, &found) == 0
            && (own.Inode, own.DeviceMajor, own.DeviceMinor) == (found.Inode, found.DeviceMajor, found.DeviceMinor);
    }

    /// <summary>Takes over the lock that the parent process acquired.</summary>
    /// <param name="fd">The inherited descriptor.</param>
    /// <exception cref="LibcException">There is no such descriptor.</exception>
    public static InstanceLock Adopt(int fd)
    {
        SafeFd file = new(fd);
        // The shadow must not inherit it: it would keep the name locked.
        UnixSocket.KeepOnExec(file, keep: false);
        return new InstanceLock(file);
    }

    /// <summary>Whether some process, this one included, holds the lock.</summary>
    public static bool IsHeld(InstanceDirectory directory)
    {
        using SafeFd file = new(Libc.open(directory.Lock, Libc.O_RDWR | Libc.O_CLOEXEC, 0));
        if (file.IsInvalid) return false;
        FileRangeLock wanted = new() { Type = Libc.F_WRLCK };
        // SAFETY: the kernel reads and writes a struct flock in a local.
        if (Libc.fcntl(file.Fd, Libc.F_OFD_GETLK, (nint)(&wanted)) != 0)
            throw LibcException.FromLastError("fcntl(F_OFD_GETLK)", directory.Lock);
        return wanted.Type != Libc.F_UNLCK;
    }

    /// <summary>Waits until nobody holds the lock.</summary>
    /// <returns>False when it is still held after <paramref name="limit"/>.</returns>
    public static bool WaitReleased(InstanceDirectory directory, TimeSpan limit)
    {
        // fcntl has no time-out: a thread waits, and is left behind when it takes too long (this process is about to end).
        TaskCompletionSource released = new();
        new Thread(() =>
        {
            using SafeFd file = new(Libc.open(directory.Lock, Libc.O_RDWR | Libc.O_CLOEXEC, 0));
            FileRangeLock wanted = new() { Type = Libc.F_WRLCK };
            // SAFETY: the kernel reads a struct flock from a local. A directory deleted meanwhile is released, too.
            while (!file.IsInvalid && Libc.fcntl(file.Fd, Libc.F_OFD_SETLKW, (nint)(&wanted)) != 0)
            {
            }

            released.SetResult();
        })
        { IsBackground = true, Name = "lock" }.Start();
        return released.Task.Wait(limit);
    }

    /// <summary>Gives the lock up, unless a child process has inherited it.</summary>
    public void Dispose() => _file.Dispose();
}
