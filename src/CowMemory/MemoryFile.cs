using Kvm.Interop;

namespace CowMemory;

/// <summary>
/// The memfd that holds a machine's memory. It can be mapped by several machines in several processes.
/// </summary>
public sealed class MemoryFile : IDisposable
{
    private MemoryFile(SafeFd fd, ulong sizeBytes)
    {
        Fd = fd;
        SizeBytes = sizeBytes;
    }

    /// <summary>The descriptor, for passing to another process.</summary>
    public SafeFd Fd { get; }

    /// <summary>Its size in bytes, fixed.</summary>
    public ulong SizeBytes { get; }

    /// <summary>Creates an empty one: all zeros, no page allocated, its size sealed.</summary>
    /// <param name="name">Shows in /proc/PID/maps as <c>/memfd:name</c>.</param>
    /// <param name="sizeBytes">Bytes.</param>
    /// <exception cref="LibcException">The host refused.</exception>
    public static MemoryFile Create(string name, ulong sizeBytes)
    {
        int fd = Libc.memfd_create(name, Libc.MFD_CLOEXEC | Libc.MFD_ALLOW_SEALING);
        if (fd < 0) throw LibcException.FromLastError("memfd_create");
        SafeFd owned = new(fd);
        try
        {
            if (Libc.ftruncate(fd, (long)sizeBytes) != 0) throw LibcException.FromLastError("ftruncate");
            // A file that can shrink turns every mapping of it into a possible SIGBUS.
            if (Libc.fcntl(fd, Libc.F_ADD_SEALS, Libc.F_SEAL_SHRINK | Libc.F_SEAL_GROW) < 0)
                throw LibcException.FromLastError("fcntl(F_ADD_SEALS)");
            return new MemoryFile(owned, sizeBytes);
        }
        catch
        {
            owned.Dispose();
            throw;
        }
    }

    /// <summary>Wraps a memory file received from another process.</summary>
    /// <param name="fd">The descriptor; owned from now on, closed if this throws.</param>
    /// <param name="sizeBytes">The size the sender said it has, bytes.</param>
    /// <exception cref="LibcException">It is not a memfd, its size can still change, or it is another than the sender
    /// said.</exception>
    public static MemoryFile Adopt(SafeFd fd, ulong sizeBytes)
    {
        try
        {
            const int Fixed = Libc.F_SEAL_SHRINK | Libc.F_SEAL_GROW;
            int seals = Libc.fcntl(fd.Fd, Libc.F_GET_SEALS, 0);
            if (seals < 0) throw LibcException.FromLastError("fcntl(F_GET_SEALS)");
            if ((seals & Fixed) != Fixed)
                throw new LibcException("fcntl(F_GET_SEALS)", Libc.EINVAL, "a memory file whose size is not sealed");
            // Mapped memory that the file does not have is a SIGBUS at the first touch.
            long size = Libc.lseek(fd.Fd, 0, Libc.SEEK_END);
            if (size != (long)sizeBytes)
                throw new LibcException("lseek", Libc.EINVAL,
                    $"a memory file of {size} bytes, said to have {sizeBytes}");
            return new MemoryFile(fd, sizeBytes);
        }
        catch
        {
            fd.Dispose();
            throw;
        }
    }

    /// <summary>Another handle on the same file.</summary>
    /// <exception cref="LibcException">Out of descriptors.</exception>
    public MemoryFile Duplicate() => new(Fd.Duplicate(), SizeBytes);

    /// <summary>
    /// Proves that the content is frozen: no mapping may write it any more, and none will. Private views stay writable.
    /// </summary>
    /// <remarks>The kernel looks at every page, so this is for after a pause, not for inside it.</remarks>
    /// <exception cref="LibcException">EBUSY: somebody still holds a shared writable mapping.</exception>
    public void SealFrozen()
    {
        if (Libc.fcntl(Fd.Fd, Libc.F_ADD_SEALS, Libc.F_SEAL_WRITE) < 0)
            throw LibcException.FromLastError("fcntl(F_ADD_SEALS, F_SEAL_WRITE)");
    }

    /// <summary>The next stretch of the file that is no hole. Reading a hole would allocate it.</summary>
    /// <param name="from">Where to look from, bytes.</param>
    /// <param name="start">Where it begins; the file's size where there is none.</param>
    /// <param name="end">Where it ends.</param>
    /// <returns>Whether there is one.</returns>
    public bool TryNextData(long from, out long start, out long end)
    {
        start = Libc.lseek(Fd.Fd, from, Libc.SEEK_DATA);
        bool found = start >= 0; // ENXIO: only a hole is left
        if (!found) start = (long)SizeBytes;
        end = found ? Libc.lseek(Fd.Fd, start, Libc.SEEK_HOLE) : start;
        if (end < 0) end = (long)SizeBytes;
        return found;
    }

    /// <summary>Closes the descriptor. Mappings keep the memory alive.</summary>
    public void Dispose() => Fd.Dispose();
}
