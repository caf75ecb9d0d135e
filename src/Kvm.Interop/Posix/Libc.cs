using System.Runtime.InteropServices;
using Tmds.Linux;

namespace Kvm.Interop;

/// <summary>
/// The libc calls this project makes, under their C names. What Tmds.LibC has comes from there; the rest is declared
/// here (its ioctl takes an int request, and it has no KVM, tgkill, preadv, ioprio or pidfd).
/// </summary>
/// <remarks>Every function sets errno (<see cref="Marshal.GetLastPInvokeError"/>) and returns what C returns.</remarks>
public static unsafe partial class Libc
{
    private const string Lib = "libc";

    /// <summary>fcntl command: duplicate with close-on-exec.</summary>
    public const int F_DUPFD_CLOEXEC = 1030;
    /// <summary>fcntl command: add seals to a memfd.</summary>
    public const int F_ADD_SEALS = 1033;
    /// <summary>fcntl command: read a memfd's seals.</summary>
    public const int F_GET_SEALS = 1034;
    /// <summary>fcntl command: would this open-file-description lock conflict?</summary>
    public const int F_OFD_GETLK = 36;
    /// <summary>fcntl command: non-blocking open-file-description lock.</summary>
    public const int F_OFD_SETLK = 37;
    /// <summary>fcntl command: open-file-description lock that is waited for.</summary>
    public const int F_OFD_SETLKW = 38;
    /// <summary>Lock type: shared.</summary>
    public const short F_RDLCK = 0;
    /// <summary>Lock type: exclusive.</summary>
    public const short F_WRLCK = 1;
    /// <summary>Lock type: none.</summary>
    public const short F_UNLCK = 2;
    /// <summary>Seal: the file cannot shrink.</summary>
    public const int F_SEAL_SHRINK = 2;
    /// <summary>Seal: the file cannot grow.</summary>
    public const int F_SEAL_GROW = 4;
    /// <summary>Seal: no writes; EBUSY while a shared writable mapping exists.</summary>
    public const int F_SEAL_WRITE = 8;
    /// <summary>eventfd flag.</summary>
    public const int EFD_CLOEXEC = 0x80000;
    /// <summary>eventfd flag.</summary>
    public const int EFD_NONBLOCK = 0x800;
    /// <summary>memfd_create flag.</summary>
    public const int MFD_CLOEXEC = 1;
    /// <summary>memfd_create flag.</summary>
    public const int MFD_ALLOW_SEALING = 2;
    /// <summary>mmap protection.</summary>
    public const int PROT_READ = 1;
    /// <summary>mmap protection.</summary>
    public const int PROT_WRITE = 2;
    /// <summary>mmap flag.</summary>
    public const int MAP_SHARED = 1;
    /// <summary>mmap flag.</summary>
    public const int MAP_PRIVATE = 2;
    /// <summary>mmap flag: do not reserve swap for it.</summary>
    public const int MAP_NORESERVE = 0x4000;
    /// <summary>madvise: leave it out of core dumps.</summary>
    public const int MADV_DONTDUMP = 16;
    /// <summary>madvise: fill the page tables as reading every page would; since Linux 5.14.</summary>
    public const int MADV_POPULATE_READ = 22;
    /// <summary>open flag.</summary>
    public const int O_RDONLY = 0;
    /// <summary>open flag.</summary>
    public const int O_RDWR = 2;
    /// <summary>open flag.</summary>
    public const int O_CREAT = 0x40;
    /// <summary>open flag.</summary>
    public const int O_EXCL = 0x80;
    /// <summary>open flag: do not wait for a FIFO's other end.</summary>
    public const int O_NONBLOCK = 0x800;
    /// <summary>open flag: past the page cache (x86-64).</summary>
    public const int O_DIRECT = 0x4000;
    /// <summary>open flag.</summary>
    public const int O_DIRECTORY = 0x10000;
    /// <summary>open flag.</summary>
    public const int O_CLOEXEC = 0x80000;
    /// <summary>ioctl: a block device's size in bytes (linux/fs.h).</summary>
    public const uint BLKGETSIZE64 = 0x80081272;
    /// <summary>statx flag: an empty path means the descriptor itself.</summary>
    public const int AT_EMPTY_PATH = 0x1000;
    /// <summary>statx mask: type, mode, size and everything else stat(2) has.</summary>
    public const uint STATX_BASIC_STATS = 0x7FF;
    /// <summary>lseek: from the end of the file.</summary>
    public const int SEEK_END = 2;
    /// <summary>lseek: the next byte that is not in a hole.</summary>
    public const int SEEK_DATA = 3;
    /// <summary>lseek: the next hole.</summary>
    public const int SEEK_HOLE = 4;
    /// <summary>fallocate: do not change the file's size.</summary>
    public const int FALLOC_FL_KEEP_SIZE = 1;
    /// <summary>preadv2 flag: EAGAIN instead of waiting for the disk.</summary>
    public const int RWF_NOWAIT = 8;
    /// <summary>fallocate: free the range; it reads as zeros.</summary>
    public const int FALLOC_FL_PUNCH_HOLE = 2;
    /// <summary>fallocate: make the range read as zeros.</summary>
    public const int FALLOC_FL_ZERO_RANGE = 16;
    /// <summary>
    /// sigaction flag: calls that the signal interrupts go on by themselves (KVM_RUN does not: it returns EINTR).
    /// </summary>
    internal const int SA_RESTART = 0x10000000;
    /// <summary>errno: no such file.</summary>
    public const int ENOENT = 2;
    /// <summary>errno: interrupted.</summary>
    public const int EINTR = 4;
    /// <summary>errno: argument list (here: array) too long.</summary>
    public const int E2BIG = 7;
    /// <summary>errno: try again.</summary>
    public const int EAGAIN = 11;
    /// <summary>errno: permission denied.</summary>
    public const int EACCES = 13;
    /// <summary>errno: device or resource busy.</summary>
    public const int EBUSY = 16;
    /// <summary>errno: invalid argument.</summary>
    public const int EINVAL = 22;
    /// <summary>errno: no space left on device.</summary>
    public const int ENOSPC = 28;

    /// <summary>ioctl(2) with one pointer-sized argument.</summary>
    [LibraryImport(Lib, SetLastError = true)]
    public static partial int ioctl(int fd, nuint request, nuint arg);

    /// <summary>open(2).</summary>
    [LibraryImport(Lib, SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int open(string path, int flags, uint mode);

    /// <summary>fcntl(2) with an integer argument.</summary>
    [LibraryImport(Lib, SetLastError = true)]
    public static partial int fcntl(int fd, int command, nint arg);

    /// <summary>memfd_create(2).</summary>
    [LibraryImport(Lib, SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int memfd_create(string name, uint flags);

    /// <summary>preadv(2).</summary>
    [LibraryImport(Lib, SetLastError = true)]
    public static partial nint preadv(int fd, IoVec* vectors, int count, long offset);

    /// <summary>preadv2(2).</summary>
    [LibraryImport(Lib, SetLastError = true)]
    public static partial nint preadv2(int fd, IoVec* vectors, int count, long offset, int flags);

    /// <summary>pwritev(2).</summary>
    [LibraryImport(Lib, SetLastError = true)]
    public static partial nint pwritev(int fd, IoVec* vectors, int count, long offset);

    /// <summary>pread(2).</summary>
    [LibraryImport(Lib, SetLastError = true)]
    public static partial nint pread(int fd, void* buffer, nuint count, long offset);

    /// <summary>pwrite(2).</summary>
    [LibraryImport(Lib, SetLastError = true)]
    public static partial nint pwrite(int fd, void* buffer, nuint count, long offset);

    /// <summary>lseek(2).</summary>
    [LibraryImport(Lib, SetLastError = true)]
    public static partial long lseek(int fd, long offset, int whence);

    /// <summary>_exit(2): ends the process at once, running nothing.</summary>
    [LibraryImport(Lib)]
    public static partial void _exit(int status);

    /// <summary>fallocate(2).</summary>
    [LibraryImport(Lib, SetLastError = true)]
    public static partial int fallocate(int fd, int mode, long offset, long length);

    /// <summary>rename(2).</summary>
    [LibraryImport(Lib, SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int rename(string from, string to);

    /// <summary>ioprio_set(2), which glibc does not wrap.</summary>
    public static int ioprio_set(int which, int who, int priority) =>
        (int)syscall(SYS_ioprio_set, which, who, priority);

    /// <summary>setpriority(2) of one thread.</summary>
    public static int SetNice(int thread, int nice) => setpriority(PRIO_PROCESS, thread, nice);

    /// <summary>Makes a new or renamed file's entry in its directory survive a power cut.</summary>
    /// <exception cref="LibcException">The host failed.</exception>
    public static void SyncDirectoryOf(string path)
    {
        string directory = Path.GetDirectoryName(Path.GetFullPath(path)) ?? "/";
        using SafeFd fd = new(open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0));
        if (fd.IsInvalid) throw LibcException.FromLastError("open", directory);
        if (fsync(fd.Fd) != 0) throw LibcException.FromLastError("fsync", directory);
    }

    [LibraryImport(Lib, SetLastError = true)]
    private static partial int setpriority(int which, int who, int priority);

    [LibraryImport(Lib, SetLastError = true)]
    private static partial nint syscall(nint number, nint first, nint second, nint third);

    /// <summary>sched_getattr(2), which glibc does not wrap.</summary>
    public static int sched_getattr(int thread, SchedAttr* attributes) =>
        (int)syscall(SYS_sched_getattr, thread, (nint)attributes, sizeof(SchedAttr), 0);

    /// <summary>sched_setattr(2), which glibc does not wrap.</summary>
    public static int sched_setattr(int thread, SchedAttr* attributes) =>
        (int)syscall(SYS_sched_setattr, thread, (nint)attributes, 0);

    /// <summary>
    /// From now on the calling thread preempts nobody when it wakes up (SCHED_BATCH, sched(7)): on a processor of its own it loses
    /// nothing, on a shared one it finds more to do at once. One whose policy is not the default keeps it.
    /// </summary>
    public static void WakeWithoutPreempting()
    {
        SchedAttr attributes;
        // SAFETY: the kernel writes and reads a struct sched_attr, a local.
        if (sched_getattr(0, &attributes) != 0 || attributes.Policy != SchedAttr.SCHED_OTHER) return;
        attributes.Policy = SchedAttr.SCHED_BATCH;
        _ = sched_setattr(0, &attributes);
    }

    /// <summary>nanosleep(2), begun again for what is left when a signal comes.</summary>
    /// <param name="nanoseconds">0 to 999,999,999.</param>
    public static void Sleep(long nanoseconds)
    {
        long* left = stackalloc long[2] { 0, nanoseconds };
        // SAFETY: the kernel reads and writes a struct timespec, a local.
        while (nanosleep(left, left) != 0 && Marshal.GetLastPInvokeError() == EINTR)
        {
        }
    }

    [LibraryImport(Lib, SetLastError = true)]
    private static partial int nanosleep(long* duration, long* remaining);

    [LibraryImport(Lib, SetLastError = true)]
    private static partial nint syscall(nint number, nint first, nint second, nint third, nint fourth);

    private const int SYS_ioprio_set = 251, SYS_sched_setattr = 314, SYS_sched_getattr = 315, PRIO_PROCESS = 0;

    /// <summary>socketpair(2).</summary>
    [LibraryImport(Lib, SetLastError = true)]
    internal static partial int socketpair(int domain, int type, int protocol, int* ends);

    /// <summary>statx(2).</summary>
    [LibraryImport(Lib, SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int statx(int directory, string path, int flags, uint mask, StatX* result);

    /// <summary>pthread_sigmask: add to the blocked signals.</summary>
    internal const int SIG_BLOCK = 0;
    /// <summary>pthread_sigmask: take from the blocked signals.</summary>
    internal const int SIG_UNBLOCK = 1;

    /// <summary>tgkill(2): a signal to one thread.</summary>
    [LibraryImport(Lib, SetLastError = true)]
    public static partial int tgkill(int tgid, int tid, int signal);

    /// <summary>getppid(2).</summary>
    [LibraryImport(Lib)]
    public static partial int getppid();

    /// <summary>
    /// The CPU time that all threads of a process have used: its CPU-time clock (clock_getcpuclockid(3)). Of a thread that runs just now
    /// it may know only what it had used at the last tick.
    /// </summary>
    /// <param name="pid">The process; not 0.</param>
    /// <exception cref="LibcException">There is no such process.</exception>
    public static TimeSpan CpuTimeOf(int pid) => ReadClock((~pid << 3) | SchedulerClock, pid);

    /// <summary>The CPU time that one thread of this process has used until now (pthread_getcpuclockid(3)).</summary>
    /// <param name="thread">The thread; not 0.</param>
    /// <exception cref="LibcException">There is no such thread.</exception>
    public static TimeSpan CpuTimeOfThread(int thread) => ReadClock((~thread << 3) | OfThread | SchedulerClock, thread);

    private static TimeSpan ReadClock(int clock, int task)
    {
        long* time = stackalloc long[2];
        // SAFETY: the kernel writes a struct timespec, a local.
        if (clock_gettime(clock, time) != 0) throw LibcException.FromLastError("clock_gettime", $"task {task}");
        return TimeSpan.FromSeconds(time[0]) + TimeSpan.FromTicks(time[1] / TimeSpan.NanosecondsPerTick);
    }

    // CPUCLOCK_SCHED and CPUCLOCK_PERTHREAD of the kernel's include/linux/posix-timers.h, which are in no header for others.
    private const int SchedulerClock = 2, OfThread = 4;

    [LibraryImport(Lib, SetLastError = true)]
    private static partial int clock_gettime(int clock, long* time);

    /// <summary>gettid(2).</summary>
    [LibraryImport(Lib)]
    public static partial int gettid();

    /// <summary>sigaction(2) on the kernel's x86-64 glibc layout; see <see cref="KickSignal"/>.</summary>
    [LibraryImport(Lib, SetLastError = true)]
    internal static partial int sigaction(int signal, byte* action, byte* old);

    /// <summary>pthread_sigmask(3); a set is 128 bytes long.</summary>
    /// <returns>0, or an errno.</returns>
    [LibraryImport(Lib)]
    internal static partial int pthread_sigmask(int how, byte* set, byte* old);

    /// <summary>The first real-time signal an application may use; glibc keeps the two below for itself.</summary>
    [LibraryImport(Lib)]
    internal static partial int __libc_current_sigrtmin();

    /// <summary>mmap(2). Returns -1 on failure.</summary>
    public static nint mmap(nint address, nuint length, int protection, int flags, int fd, long offset) =>
        (nint)LibC.mmap((void*)address, (size_t)(ulong)length, protection, flags, fd, offset);

    /// <summary>munmap(2).</summary>
    public static int munmap(nint address, nuint length) => LibC.munmap((void*)address, (size_t)(ulong)length);

    /// <summary>madvise(2).</summary>
    public static int madvise(nint address, nuint length, int advice) =>
        LibC.madvise((void*)address, (size_t)(ulong)length, advice);

    /// <summary>eventfd(2).</summary>
    public static int eventfd(uint initial, int flags) => LibC.eventfd(initial, flags);

    /// <summary>read(2).</summary>
    public static nint read(int fd, void* buffer, nuint count) =>
        (nint)(long)LibC.read(fd, buffer, (size_t)(ulong)count);

    /// <summary>write(2).</summary>
    public static nint write(int fd, void* buffer, nuint count) =>
        (nint)(long)LibC.write(fd, buffer, (size_t)(ulong)count);

    /// <summary>close(2).</summary>
    public static int close(int fd) => LibC.close(fd);

    /// <summary>ftruncate(2).</summary>
    public static int ftruncate(int fd, long length) => LibC.ftruncate(fd, length);

    /// <summary>fsync(2).</summary>
    public static int fsync(int fd) => LibC.fsync(fd);

    /// <summary>fdatasync(2).</summary>
    public static int fdatasync(int fd) => LibC.fdatasync(fd);
}
