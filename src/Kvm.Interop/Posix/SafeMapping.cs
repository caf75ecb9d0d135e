using System.Runtime.InteropServices;

namespace Kvm.Interop;

/// <summary>An owned mmap(2) region. Disposing unmaps it: nobody may hold its addresses by then.</summary>
public sealed class SafeMapping : SafeHandle
{
    private readonly nuint _length;

    private SafeMapping(nint address, nuint length) : base(-1, ownsHandle: true)
    {
        SetHandle(address);
        _length = length;
    }

    /// <inheritdoc/>
    public override bool IsInvalid => handle == -1;

    /// <summary>Host address of the first byte, page-aligned.</summary>
    public nint Address => handle;

    /// <summary>Length in bytes.</summary>
    public nuint Length => _length;

    /// <summary>Maps part of a file, readable and writable.</summary>
    /// <param name="fd">What to map.</param>
    /// <param name="length">Bytes; the file must be at least <paramref name="offset"/> + this long or access is
    /// SIGBUS.</param>
    /// <param name="flags">MAP_SHARED or MAP_PRIVATE, and what goes with them.</param>
    /// <param name="offset">Page-aligned offset in the file.</param>
    /// <exception cref="LibcException">mmap failed.</exception>
    public static SafeMapping Map(SafeFd fd, nuint length, int flags, long offset = 0)
    {
        nint address = Libc.mmap(0, length, Libc.PROT_READ | Libc.PROT_WRITE, flags, fd.Fd, offset);
        return address != -1 ? new SafeMapping(address, length) : throw LibcException.FromLastError("mmap");
    }

    /// <inheritdoc/>
    protected override bool ReleaseHandle() => Libc.munmap(handle, _length) == 0;
}
