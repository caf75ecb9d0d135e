using System.Runtime.InteropServices;

namespace Kvm.Interop;

/// <summary>A libc call or system call failed on the host. <see cref="Errno"/> says why.</summary>
public class LibcException : IOException
{
    /// <summary>Describes a failed call.</summary>
    /// <param name="call">The call's C name, for example <c>mmap</c>.</param>
    /// <param name="errno">The value of errno after it.</param>
    /// <param name="context">What it was about (a path, an address), or null.</param>
    public LibcException(string call, int errno, string? context = null)
        : base(context is null
            ? $"{call} failed: {Marshal.GetPInvokeErrorMessage(errno)} (errno {errno})"
            : $"{call} failed for {context}: {Marshal.GetPInvokeErrorMessage(errno)} (errno {errno})")
    {
        Call = call;
        Errno = errno;
    }

    /// <summary>The C name of the call that failed.</summary>
    public string Call { get; }

    /// <summary>The errno it left.</summary>
    public int Errno { get; }

    /// <summary>Builds the exception from the errno of the P/Invoke that has just failed on this thread.</summary>
    public static LibcException FromLastError(string call, string? context = null) =>
        new(call, Marshal.GetLastPInvokeError(), context);
}
