using System.Runtime.InteropServices;

namespace Kvm.Interop;

/// <summary>Issues typed ioctls. All of them retry EINTR and throw <see cref="KvmException"/> on failure.</summary>
public static unsafe class KvmCalls
{
    /// <summary>Issues an ioctl that takes a number.</summary>
    /// <returns>The ioctl's (non-negative) result.</returns>
    public static int Call<TFd>(this TFd fd, IoctlCall<TFd> ioctl, nuint argument = 0) where TFd : SafeFd =>
        Issue(fd, ioctl.Code, ioctl.Name, argument);

    /// <summary>Issues an ioctl whose refusal is an ordinary answer: an exception costs more than most ioctls.</summary>
    /// <returns>Whether it was done.</returns>
    public static bool TryCall<TFd>(this TFd fd, IoctlCall<TFd> ioctl) where TFd : SafeFd => Libc.ioctl(fd.Fd, ioctl.Code, 0) >= 0;

    /// <summary>Issues an ioctl that fills <paramref name="value"/>.</summary>
    public static void Get<TFd, T>(this TFd fd, IoctlGet<TFd, T> ioctl, out T value)
        where TFd : SafeFd where T : unmanaged
    {
        value = default;
        // SAFETY: T's size is in the request code, so the kernel writes exactly that much; the fixed pointer outlives
        // the call.
        fixed (T* pointer = &value)
            Issue(fd, ioctl.Code, ioctl.Name, (nuint)pointer);
    }

    /// <summary>Issues an ioctl that reads <paramref name="value"/>.</summary>
    /// <returns>The ioctl's (non-negative) result.</returns>
    public static int Set<TFd, T>(this TFd fd, IoctlSet<TFd, T> ioctl, in T value)
        where TFd : SafeFd where T : unmanaged
    {
        // SAFETY: the kernel reads at most sizeof(T) bytes; the fixed pointer outlives the call.
        fixed (T* pointer = &value)
            return Issue(fd, ioctl.Code, ioctl.Name, (nuint)pointer);
    }

    /// <summary>Issues an ioctl that reads <paramref name="value"/> and writes it back.</summary>
    /// <returns>The ioctl's (non-negative) result.</returns>
    public static int Exchange<TFd, T>(this TFd fd, IoctlExchange<TFd, T> ioctl, ref T value)
        where TFd : SafeFd where T : unmanaged
    {
        // SAFETY: as above, both ways.
        fixed (T* pointer = &value)
            return Issue(fd, ioctl.Code, ioctl.Name, (nuint)pointer);
    }

    /// <summary>Issues an ioctl whose payload is a header followed by an array.</summary>
    /// <returns>The ioctl's (non-negative) result: for KVM_GET_MSRS and KVM_SET_MSRS the count done.</returns>
    public static int Exchange<TFd, THeader, TEntry>(
        this TFd fd, IoctlExchange<TFd, THeader> ioctl, FamBuffer<THeader, TEntry> buffer)
        where TFd : SafeFd where THeader : unmanaged where TEntry : unmanaged =>
        Issue(fd, ioctl.Code, ioctl.Name, (nuint)buffer.Pointer);

    /// <inheritdoc cref="Exchange{TFd,THeader,TEntry}"/>
    public static int Set<TFd, THeader, TEntry>(
        this TFd fd, IoctlSet<TFd, THeader> ioctl, FamBuffer<THeader, TEntry> buffer)
        where TFd : SafeFd where THeader : unmanaged where TEntry : unmanaged =>
        Issue(fd, ioctl.Code, ioctl.Name, (nuint)buffer.Pointer);

    /// <summary>Issues an ioctl that takes a structure, with none: takes back what an earlier one has set.</summary>
    public static void Clear<TFd, T>(this TFd fd, IoctlSet<TFd, T> ioctl) where TFd : SafeFd where T : unmanaged =>
        Issue(fd, ioctl.Code, ioctl.Name, 0);

    private static int Issue(SafeFd fd, nuint code, string name, nuint argument)
    {
        bool held = false;
        try
        {
            fd.DangerousAddRef(ref held);
            while (true)
            {
                int result = Libc.ioctl(fd.Fd, code, argument);
                if (result >= 0) return result;
                int errno = Marshal.GetLastPInvokeError();
                if (errno != Libc.EINTR) throw new KvmException(name, errno);
            }
        }
        finally
        {
            if (held) fd.DangerousRelease();
        }
    }
}
