using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;

namespace TestKit;

/// <summary>Real limits of a real host, for as long as something runs. They need root.</summary>
public static unsafe partial class HostLimits
{
    private const int NumberOfProcesses = 6, NumberOfFiles = 7, PendingSignals = 11; // RLIMIT_*
    private const nint SetUserIds = 117; // SYS_setresuid

    private static readonly Lock s_one = new();
    private static int s_user = 54_321; // nobody's, and another each time: threads of the last one may still be ending

    /// <summary>
    /// Runs something on a thread of its own that may start only so many others: it, and only it, is another user's. Threads of root
    /// have no such limit.
    /// </summary>
    public static void Threads(int most, Action action) => Limited(NumberOfProcesses, (ulong)most + 1, () =>
    {
        Exception? failure = null;
        Thread thread = new(() =>
        {
            try
            {
                nint user = Interlocked.Increment(ref s_user);
                // The bare system call: the one of libc would change every thread of the process.
                if (syscall(SetUserIds, user, user, user) != 0) throw new InvalidOperationException($"setresuid: errno {Marshal.GetLastPInvokeError()}");
                action();
            }
            catch (Exception e)
            {
                failure = e;
            }
        });
        thread.Start();
        thread.Join();
        if (failure is not null) ExceptionDispatchInfo.Throw(failure);
    });

    /// <summary>Runs something while the process gets no descriptor of this number or a higher one.</summary>
    public static void Descriptors(int below, Action action) => Limited(NumberOfFiles, (ulong)below, action);

    /// <summary>Runs something while the kernel queues no further signal of this process. Those without a queue, below SIGRTMIN, arrive.</summary>
    public static void Signals(Action action) => Limited(PendingSignals, 0, action);

    private static void Limited(int resource, ulong limit, Action action)
    {
        lock (s_one)
        {
            ulong* before = stackalloc ulong[2], lowered = stackalloc ulong[2];
            // SAFETY: the kernel writes and reads a struct rlimit of two words each, locals of this method.
            if (prlimit(0, resource, null, before) != 0) throw new InvalidOperationException("prlimit");
            (lowered[0], lowered[1]) = (limit, before[1]);
            _ = prlimit(0, resource, lowered, null);
            try
            {
                action();
            }
            finally
            {
                _ = prlimit(0, resource, before, null);
            }
        }
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint syscall(nint number, nint first, nint second, nint third);

    [LibraryImport("libc")]
    private static partial int prlimit(int process, int resource, ulong* limit, ulong* before);
}
