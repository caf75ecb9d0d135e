using System.Runtime.InteropServices;
using Kvm.Interop;

namespace Bgkvm.Hosting;

/// <summary>The libc calls that only a command-line program needs, under their C names.</summary>
/// <remarks>Every function sets errno and returns what C returns.</remarks>
internal static unsafe partial class Posix
{
    private const string Lib = "libc";

    /// <summary>close_range flag: close on exec instead of now (Linux 5.11).</summary>
    public const uint CLOSE_RANGE_CLOEXEC = 4;
    /// <summary>tcsetattr: after pending output.</summary>
    public const int TCSADRAIN = 1;
    /// <summary>poll event: there is something to read, or the end.</summary>
    public const short POLLIN = 1;
    /// <summary>open flag.</summary>
    public const int O_WRONLY = 1;
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
