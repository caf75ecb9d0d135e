using System.Runtime.InteropServices;
using Bgkvm.Hosting;
using Kvm.Interop;

namespace Bgkvm.Consoles;

/// <summary>Descriptors 0 and 1 as bytes. The runtime's Console would take the terminal's settings into its own hands.</summary>
internal static unsafe class StandardStreams
{
    /// <summary>Waits for input.</summary>
    /// <returns>Whether there is some, or its end.</returns>
    public static bool WaitInput(int timeoutMillis)
    {
        Posix.PollFd input = new() { Fd = 0, Events = Posix.POLLIN };
        // SAFETY: the kernel reads and writes one struct pollfd in a local.
        return Posix.poll(&input, 1, timeoutMillis) > 0;
    }

    /// <summary>Reads what there is of input, waiting for some.</summary>
    /// <returns>Bytes read; 0 at the end, less when it cannot be read.</returns>
    public static int Read(Span<byte> buffer)
    {
        // SAFETY: the kernel writes at most the span's length into it, and it is fixed for the call.
        fixed (byte* start = buffer)
        {
            nint count;
            do count = Libc.read(0, start, (nuint)buffer.Length);
            while (count < 0 && Marshal.GetLastPInvokeError() == Libc.EINTR);
            return (int)count;
        }
    }

    /// <summary>Writes all of it.</summary>
    /// <returns>False when nobody reads it any more.</returns>
    public static bool Write(ReadOnlySpan<byte> output)
    {
        while (output.Length > 0)
        {
            // SAFETY: the kernel reads at most the span's length from it, and it is fixed for the call.
            fixed (byte* start = output)
            {
                nint count = Libc.write(1, start, (nuint)output.Length);
                if (count < 0 && Marshal.GetLastPInvokeError() != Libc.EINTR) return false;
                output = output[(int)Math.Max(0, count)..];
            }
        }

        return true;
    }
}
