using System.Runtime.InteropServices;

namespace Kvm.Interop;

/// <summary>An eventfd(2): a counter that one side adds to and the other waits on.</summary>
public sealed unsafe class EventFd : SafeFd
{
    private EventFd(int fd) : base(fd) { }

    /// <summary>Creates one with count 0.</summary>
    /// <param name="nonBlocking">Whether <see cref="TryDrain"/> returns at once on a zero count.</param>
    /// <exception cref="LibcException">The process is out of descriptors.</exception>
    public static EventFd Create(bool nonBlocking = false)
    {
        int fd = Libc.eventfd(0, Libc.EFD_CLOEXEC | (nonBlocking ? Libc.EFD_NONBLOCK : 0));
        return fd >= 0 ? new EventFd(fd) : throw LibcException.FromLastError("eventfd");
    }

    /// <summary>
    /// Adds one to the count, waking who waits. Never blocks in practice: the count would have to reach 2^64-2.
    /// </summary>
    public void Signal()
    {
        bool held = false;
        try
        {
            // Held, or a descriptor that is closed meanwhile could be somebody else's file by the time of the write.
            DangerousAddRef(ref held);
            ulong one = 1;
            // SAFETY: the kernel reads 8 bytes from a local.
            _ = Libc.write(Fd, &one, sizeof(ulong));
        }
        catch (ObjectDisposedException)
        {
            // Nobody waits for it any more.
        }
        finally
        {
            if (held) DangerousRelease();
        }
    }

    /// <summary>
    /// Takes the whole count, waiting for one unless the descriptor is non-blocking. A signal does not end the wait.
    /// </summary>
    /// <returns>Whether there was anything to take.</returns>
    public bool TryDrain()
    {
        ulong count;
        nint read;
        do
        {
            // SAFETY: the kernel writes 8 bytes into a local.
            read = Libc.read(Fd, &count, sizeof(ulong));
        }
        while (read < 0 && Marshal.GetLastPInvokeError() == Libc.EINTR);

        return read == sizeof(ulong);
    }
}
