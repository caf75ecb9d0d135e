using System.Runtime.InteropServices;

namespace Kvm.Interop;

/// <summary>An owned file descriptor. Disposing closes it; the finalizer does so only for leaked ones.</summary>
public class SafeFd : SafeHandle
{
    /// <summary>Takes over a descriptor.</summary>
    /// <param name="fd">An open descriptor, or -1 for an invalid handle.</param>
    public SafeFd(int fd) : base(-1, ownsHandle: true) => SetHandle(fd);

    /// <inheritdoc/>
    public override bool IsInvalid => handle < 0;

    /// <summary>The raw number. The caller keeps this object alive while it uses it.</summary>
    public int Fd => (int)handle;

    /// <summary>Duplicates the descriptor with close-on-exec set.</summary>
    /// <exception cref="LibcException">fcntl(F_DUPFD_CLOEXEC) failed.</exception>
    public SafeFd Duplicate()
    {
        int fd = Libc.fcntl(Fd, Libc.F_DUPFD_CLOEXEC, 0);
        return fd >= 0 ? new SafeFd(fd) : throw LibcException.FromLastError("fcntl(F_DUPFD_CLOEXEC)");
    }

    /// <inheritdoc/>
    protected override bool ReleaseHandle() => Libc.close((int)handle) == 0;
}
