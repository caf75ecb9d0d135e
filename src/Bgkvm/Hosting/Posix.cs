using System.Runtime.InteropServices;
using Kvm.Interop;

namespace Bgkvm.Hosting;

/// <summary>The libc calls that only a command-line program needs, under their C names.</summary>
/// <remarks>Every function sets errno and returns what C returns.</remarks>
internal static unsafe partial class Posix
{
    private const string Lib = "libc";

    /// <summary>fcntl command: would this open-file-description lock be granted?</summary>
    public const int F_OFD_GETLK = 36;
    /// <summary>fcntl command: wait for an open-file-description lock.</summary>
    public const int F_OFD_SETLKW = 38;
    /// <summary>Lock type.</summary>
    public const short F_WRLCK = 1;
    /// <summary>Lock type.</summary>
    public const short F_UNLCK = 2;
    /// <summary>close_range flag: close on exec instead of now (Linux 5.11).</summary>
    public const uint CLOSE_RANGE_CLOEXEC = 4;
    /// <summary>tcsetattr: after pending output.</summary>
    public const int TCSADRAIN = 1;
    /// <summary>poll event: there is something to read, or the end.</summary>
    public const short POLLIN = 1;
    /// <summary>open flag.</summary>
    public const int O_WRONLY = 1;
    /// <summary>open flag.</summary>
    public const int O_NONBLOCK = 0x800;
    /// <summary>open flag.</summary>
    public const int O_APPEND = 0x400;

    /// <summary>setsid(2).</summary>
    [LibraryImport(Lib, SetLastError = true)]
    public static partial int setsid();

    /// <summary>umask(2).</summary>
    [LibraryImport(Lib)]
    public static partial uint umask(uint mask);

    /// <summary>dup2(2).</summary>
    [LibraryImport(Lib, SetLastError = true)]
    public static partial int dup2(int from, int to);

    /// <summary>close_range(2).</summary>
    [LibraryImport(Lib, SetLastError = true)]
    public static partial int close_range(uint first, uint last, uint flags);

    /// <summary>isatty(3).</summary>
    [LibraryImport(Lib, SetLastError = true)]
    public static partial int isatty(int fd);

    /// <summary>poll(2).</summary>
    [LibraryImport(Lib, SetLastError = true)]
    public static partial int poll(PollFd* fds, nuint count, int timeoutMillis);

    /// <summary>tcgetattr(3). The struct is opaque here: at least <see cref="TermiosSize"/> bytes.</summary>
    [LibraryImport(Lib, SetLastError = true)]
    public static partial int tcgetattr(int fd, byte* termios);

    /// <summary>tcsetattr(3).</summary>
    [LibraryImport(Lib, SetLastError = true)]
    public static partial int tcsetattr(int fd, int when, byte* termios);

    /// <summary>cfmakeraw(3).</summary>
    [LibraryImport(Lib)]
    public static partial void cfmakeraw(byte* termios);

    /// <summary>sizeof(struct termios) on x86-64 glibc.</summary>
    public const int TermiosSize = 60;

    /// <summary>C <c>struct pollfd</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct PollFd
    {
        /// <summary>Which descriptor.</summary>
        public int Fd;
        /// <summary>What to wait for.</summary>
        public short Events;
        /// <summary>What happened.</summary>
        public short Returned;
    }

    /// <summary>C <c>struct flock</c> on x86-64: type, whence, start, length, pid; a length of 0 is the whole file.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct Flock
    {
        /// <summary>F_WRLCK or F_UNLCK.</summary>
        public short Type;
        /// <summary>0: from the file's start.</summary>
        public short Whence;
        /// <summary>First byte.</summary>
        public long Start;
        /// <summary>Number of bytes; 0 is all.</summary>
        public long Length;
        /// <summary>Must be 0 for open-file-description locks.</summary>
        public int Pid;
    }

    /// <summary>Makes new and renamed entries of a directory survive a power cut.</summary>
    /// <exception cref="LibcException">The host failed.</exception>
    public static void SyncDirectory(string path)
    {
        using SafeFd directory = new(Libc.open(path, Libc.O_RDONLY | Libc.O_DIRECTORY | Libc.O_CLOEXEC, 0));
        if (directory.IsInvalid) throw LibcException.FromLastError("open", path);
        if (Libc.fsync(directory.Fd) != 0) throw LibcException.FromLastError("fsync", path);
    }

    /// <summary>Opens a file and puts it in the place of one of the standard descriptors.</summary>
    /// <exception cref="LibcException">It cannot be opened.</exception>
    public static void Redirect(string path, int flags, params ReadOnlySpan<int> targets)
    {
        using SafeFd file = new(Libc.open(path, flags | Libc.O_CLOEXEC, 0x180 /* 0600 */));
        if (file.IsInvalid) throw LibcException.FromLastError("open", path);
        foreach (int target in targets)
            if (dup2(file.Fd, target) < 0) throw LibcException.FromLastError("dup2", path);
    }
}
