using System.Runtime.InteropServices;
using Mono.Unix.Native;

namespace Kvm.Interop;

/// <summary>Unix stream sockets that carry file descriptors (SCM_RIGHTS, unix(7)).</summary>
public static unsafe class UnixSocket
{
    private const int MaxDescriptors = 16;
    private const int SOCK_CLOEXEC = 0x80000;

    /// <summary>socketpair(2), stream.</summary>
    /// <returns>Two connected ends, both closed on exec: see <see cref="KeepOnExec"/>.</returns>
    /// <exception cref="LibcException">Out of descriptors.</exception>
    public static (SafeFd First, SafeFd Second) CreatePair()
    {
        int* ends = stackalloc int[2];
        // SAFETY: the kernel fills two ints.
        const int Type = (int)UnixSocketType.SOCK_STREAM | SOCK_CLOEXEC;
        if (Libc.socketpair((int)UnixAddressFamily.AF_UNIX, Type, 0, ends) != 0)
            throw LibcException.FromLastError("socketpair");
        return (new SafeFd(ends[0]), new SafeFd(ends[1]));
    }

    /// <summary>Lets a descriptor pass into the next program started, or not.</summary>
    public static void KeepOnExec(SafeFd fd, bool keep)
    {
        const int F_SETFD = 2, FD_CLOEXEC = 1;
        if (Libc.fcntl(fd.Fd, F_SETFD, keep ? 0 : FD_CLOEXEC) < 0) throw LibcException.FromLastError("fcntl(F_SETFD)");
    }

    /// <summary>Sends all of <paramref name="data"/>, with descriptors beside its first byte.</summary>
    /// <exception cref="LibcException">The other end is gone, or the kernel refused.</exception>
    public static void Send(SafeFd socket, ReadOnlySpan<byte> data, ReadOnlySpan<SafeFd> descriptors)
    {
        byte[] control = descriptors.Length == 0 ? [] : Control(descriptors);
        // SAFETY: the kernel reads and writes inside the span only, which is fixed for as long as the calls take.
        fixed (byte* start = data)
        {
            for (int sent = 0; sent < data.Length;)
            {
                Iovec part = new() { iov_base = (nint)(start + sent), iov_len = (ulong)(data.Length - sent) };
                Msghdr header = new()
                {
                    msg_iov = [part],
                    msg_iovlen = 1,
                    msg_control = sent == 0 ? control : [],
                    msg_controllen = sent == 0 ? control.Length : 0,
                };
                // MSG_NOSIGNAL: a vanished reader is an error here, not a SIGPIPE.
                long done = Syscall.sendmsg(socket.Fd, header, MessageFlags.MSG_NOSIGNAL);
                if (done < 0)
                {
                    // Read here and once: Mono's own GetLastError calls into its helper library and leaves 0 for the
                    // next reader.
                    int errno = Marshal.GetLastPInvokeError();
                    if (errno == Libc.EINTR) continue;
                    throw new LibcException("sendmsg", errno);
                }

                sent += (int)done;
            }
        }
    }

    /// <summary>
    /// Fills <paramref name="data"/>, or as much as there is before the other end closes; collects descriptors on the
    /// way.
    /// </summary>
    /// <returns>Bytes received; fewer than asked for only at the end of the stream.</returns>
    /// <exception cref="LibcException">The kernel refused.</exception>
    public static int Receive(SafeFd socket, Span<byte> data, List<SafeFd> descriptors)
    {
        int got = 0;
        // SAFETY: as in Send.
        fixed (byte* start = data)
        {
            while (got < data.Length)
            {
                Iovec part = new() { iov_base = (nint)(start + got), iov_len = (ulong)(data.Length - got) };
                Msghdr header = new()
                {
                    msg_iov = [part],
                    msg_iovlen = 1,
                    msg_control = new byte[Syscall.CMSG_SPACE(MaxDescriptors * sizeof(int))],
                };
                header.msg_controllen = header.msg_control.Length;
                long done = Syscall.recvmsg(socket.Fd, header, (MessageFlags)MSG_CMSG_CLOEXEC);
                if (done < 0)
                {
                    // Read here and once: Mono's own GetLastError calls into its helper library and leaves 0 for the
                    // next reader.
                    int errno = Marshal.GetLastPInvokeError();
                    if (errno == Libc.EINTR) continue;
                    throw new LibcException("recvmsg", errno);
                }

                Collect(header, descriptors);
                if (done == 0) break;
                got += (int)done;
            }
        }

        return got;
    }

    private const int MSG_CMSG_CLOEXEC = 0x40000000;

    private static byte[] Control(ReadOnlySpan<SafeFd> descriptors)
    {
        int payload = descriptors.Length * sizeof(int);
        byte[] control = new byte[Syscall.CMSG_SPACE((ulong)payload)];
        Msghdr header = new() { msg_control = control, msg_controllen = control.Length };
        new Cmsghdr
        {
            cmsg_len = (long)Syscall.CMSG_LEN((ulong)payload),
            cmsg_level = UnixSocketProtocol.SOL_SOCKET,
            cmsg_type = UnixSocketControlMessage.SCM_RIGHTS,
        }.WriteToBuffer(header, 0);
        Span<int> numbers = MemoryMarshal.Cast<byte, int>(control.AsSpan((int)Syscall.CMSG_DATA(header, 0), payload));
        for (int i = 0; i < descriptors.Length; i++) numbers[i] = descriptors[i].Fd;
        return control;
    }

    private static void Collect(Msghdr header, List<SafeFd> descriptors)
    {
        for (long at = Syscall.CMSG_FIRSTHDR(header); at != -1; at = Syscall.CMSG_NXTHDR(header, at))
        {
            Cmsghdr message = Cmsghdr.ReadFromBuffer(header, at);
            if (message.cmsg_type != UnixSocketControlMessage.SCM_RIGHTS) continue;
            int start = (int)Syscall.CMSG_DATA(header, at);
            int length = (int)(message.cmsg_len - (start - at));
            foreach (int fd in MemoryMarshal.Cast<byte, int>(header.msg_control.AsSpan(start, length)))
                descriptors.Add(new SafeFd(fd));
        }
    }
}
