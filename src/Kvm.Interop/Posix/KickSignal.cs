using System.Runtime.InteropServices;

namespace Kvm.Interop;

/// <summary>
/// The signal that makes KVM_RUN return. .NET owns SIGRTMIN itself (it suspends threads for GC with it), so this is
/// SIGRTMIN+3.
/// </summary>
/// <remarks>
/// Its handler is the libc function <c>getpid</c>: harmless, async-signal-safe and native. A managed handler could
/// interrupt the runtime anywhere; no handler at all would kill the process, SIG_IGN would not interrupt KVM_RUN.
/// </remarks>
public static unsafe class KickSignal
{
    // struct sigaction on x86-64 glibc: handler, 128-byte mask, flags, restorer.
    internal const int SigactionSize = 152, FlagsOffset = 136, SigsetSize = 128;

    /// <summary>The signal's number.</summary>
    public static int Number { get; } = Install();

    /// <summary>Sends it to a thread of this process.</summary>
    /// <param name="threadId">The thread's kernel id (<see cref="Libc.gettid"/>).</param>
    /// <returns>
    /// False where the user's signals that are pending are as many as there may be (RLIMIT_SIGPENDING): send it again later.
    /// </returns>
    /// <exception cref="LibcException">
    /// The kernel refused. A thread that has just ended is no error: it does not run either.
    /// </exception>
    public static bool Send(int threadId)
    {
        const int ESRCH = 3;
        if (Libc.tgkill(Environment.ProcessId, threadId, Number) == 0) return true;
        return Marshal.GetLastPInvokeError() switch
        {
            ESRCH => true,
            Libc.EAGAIN => false,
            _ => throw LibcException.FromLastError("tgkill"),
        };
    }

    /// <summary>
    /// Keeps kicks of the calling thread pending until <see cref="Release"/>, except while it is in a KVM_RUN whose mask
    /// (KVM_SET_SIGNAL_MASK) lets them through.
    /// </summary>
    public static void Hold() => Mask(Libc.SIG_BLOCK);

    /// <summary>Lets kicks of the calling thread through again; a pending one comes at once.</summary>
    public static void Release() => Mask(Libc.SIG_UNBLOCK);

    private static void Mask(int how)
    {
        byte* set = stackalloc byte[SigsetSize];
        new Span<byte>(set, SigsetSize).Clear();
        // SAFETY: the signal's bit lies in the first of the set's 16 words; libc reads the set during the call only.
        *(ulong*)set = 1ul << (Number - 1);
        if (Libc.pthread_sigmask(how, set, null) is not 0 and int errno) throw new LibcException("pthread_sigmask", errno);
    }

    private static int Install()
    {
        int number = Libc.__libc_current_sigrtmin() + 3;
        byte* action = stackalloc byte[SigactionSize];
        new Span<byte>(action, SigactionSize).Clear();
        // SAFETY: both fields lie inside the buffer, where the layout tests pin them; a zeroed mask is valid. getpid
        // ignores the argument the kernel passes in a register.
        *(nint*)action = NativeLibrary.GetExport(NativeLibrary.Load("libc.so.6"), "getpid");
        // A kick that finds its thread in another system call, in the middle of handling an exit, does not disturb it.
        *(int*)(action + FlagsOffset) = Libc.SA_RESTART;
        return Libc.sigaction(number, action, null) == 0 ? number : throw LibcException.FromLastError("sigaction");
    }
}
