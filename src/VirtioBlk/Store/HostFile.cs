using System.Runtime.InteropServices;
using Kvm.Interop;

namespace VirtioBlk.Store;

/// <summary>A regular file or block device, opened for blocking positional I/O.</summary>
internal sealed unsafe class HostFile : IHostFile
{
    /// <summary>Most vectors one preadv or pwritev takes (UIO_MAXIOV in linux/uio.h).</summary>
    private const int MaxVectors = 1024;

    private readonly SafeFd _reader;
    private readonly bool _isBlockDevice;
    private readonly int _directFlag; // O_DIRECT or 0
    private readonly Lock _syncing = new();
    private SafeFd? _writer;
    private DiskLock _lock;
    private int _syncErrno;

    // Until told otherwise somebody's earlier writes may still be in the page cache: those of a process that was
    // killed.
    private int _unsynced = 1;

    private HostFile(string path, SafeFd reader, bool isBlockDevice, int directFlag = 0)
    {
        Path = path;
        _reader = reader;
        _isBlockDevice = isBlockDevice;
        _directFlag = directFlag;
    }

    /// <inheritdoc/>
    public string Path { get; }

    /// <inheritdoc/>
    public long LengthBytes
    {
        get
        {
            if (!_isBlockDevice) return (long)Status(_reader, Path).SizeBytes;
            ulong size = 0;
            // SAFETY: BLKGETSIZE64 writes one 64-bit number.
            return Libc.ioctl(_reader.Fd, Libc.BLKGETSIZE64, (nuint)(&size)) == 0
                ? (long)size
                : throw LibcException.FromLastError("ioctl(BLKGETSIZE64)", Path);
        }
    }

    /// <summary>Opens and locks a file.</summary>
    /// <param name="path">Where it is.</param>
    /// <param name="writable">Whether it will be written.</param>
    /// <param name="mode">What others may do meanwhile.</param>
    /// <param name="direct">Whether I/O goes past the page cache, in multiples of 512 bytes.</param>
    /// <exception cref="DiskException">
    /// It cannot be opened, is neither a file nor a block device, is in use, or cannot be read past the page cache.
    /// </exception>
    public static HostFile Open(string path, bool writable, DiskLock mode, bool direct = false)
    {
        // O_NONBLOCK: a FIFO named by mistake must give an error below, not wait for a writer.
        int directFlag = direct ? Libc.O_DIRECT : 0;
        SafeFd reader = OpenOrThrow(path, path, Libc.O_RDONLY | Libc.O_NONBLOCK | Libc.O_CLOEXEC | directFlag);
        HostFile? file = null;
        try
        {
            int type = Status(reader, path).Mode & StatX.TypeMask;
            if (type is not (StatX.RegularFile or StatX.BlockDevice))
                throw new DiskException(path,
                    type == StatX.Directory ? "is a directory" : "is neither a file nor a block device");
            file = new HostFile(path, reader, type == StatX.BlockDevice, directFlag);
            if (direct) file.RequireSectors();
            if (writable) file.MakeWritable();
            file.Lock(mode);
            return file;
        }
        catch
        {
            if (file is null) reader.Dispose();
            else file.Dispose();
            throw;
        }
    }

    /// <summary>Makes a new, empty file, mode 0600, not locked.</summary>
    /// <exception cref="DiskException">There is one already, or it cannot be made.</exception>
    public static HostFile Create(string path)
    {
        SafeFd fd = OpenOrThrow(path, path, Libc.O_RDWR | Libc.O_CREAT | Libc.O_EXCL | Libc.O_CLOEXEC);
        return new HostFile(path, fd, isBlockDevice: false) { _writer = fd };
    }

    /// <summary>Makes the file as long as told, without giving it space, durably.</summary>
    public void SetLength(long bytes)
    {
        if (Libc.ftruncate(Writer.Fd, bytes) != 0) throw LibcException.FromLastError("ftruncate", Path);
        if (Libc.fsync(Writer.Fd) != 0) throw LibcException.FromLastError("fsync", Path);
    }

    /// <inheritdoc/>
    public long Read(ReadOnlySpan<IoVec> vectors, long offset) => Transfer(vectors, offset, _reader, writing: false);

    /// <inheritdoc/>
    public bool TryReadCached(ReadOnlySpan<IoVec> vectors, long offset)
    {
        // Past the page cache the kernel would do the I/O and wait for it, RWF_NOWAIT or not.
        if (_directFlag != 0 || vectors.Length > MaxVectors) return false;
        // SAFETY: the caller vouches for the memory the vectors name; the kernel checks it again.
        fixed (IoVec* first = vectors)
        {
            // Whatever stops it, a file system that knows no RWF_NOWAIT too: the waiting read finds out.
            nint moved = Libc.preadv2(_reader.Fd, first, vectors.Length, offset, Libc.RWF_NOWAIT);
            return moved == IoVecCursor.TotalBytes(vectors);
        }
    }

    /// <inheritdoc/>
    public void Write(ReadOnlySpan<IoVec> vectors, long offset)
    {
        try
        {
            Transfer(vectors, offset, Writer, writing: true);
        }
        finally
        {
            Volatile.Write(ref _unsynced, 1);
        }
    }

    /// <inheritdoc/>
    public void Sync()
    {
        lock (_syncing)
        {
            if (_syncErrno != 0) throw new LibcException("fdatasync", _syncErrno, Path);
            if (Interlocked.Exchange(ref _unsynced, 0) == 0) return;
            if (Libc.fdatasync(_reader.Fd) == 0) return;
            _syncErrno = Marshal.GetLastPInvokeError();
            throw new LibcException("fdatasync", _syncErrno, Path);
        }
    }

    /// <inheritdoc/>
    public bool TryPunch(long offset, long length) =>
        TryAllocate(Libc.FALLOC_FL_PUNCH_HOLE | Libc.FALLOC_FL_KEEP_SIZE, offset, length);

    /// <inheritdoc/>
    public bool TryZero(long offset, long length) =>
        TryAllocate(Libc.FALLOC_FL_ZERO_RANGE | Libc.FALLOC_FL_KEEP_SIZE, offset, length);

    /// <inheritdoc/>
    public void MakeWritable()
    {
        if (_writer is not null) return;
        // Through /proc, so that it is the same file even if the path has come to mean another. On a block device
        // O_EXCL is the host's own lock: it fails while a file system on it is mounted.
        int flags = Libc.O_RDWR | Libc.O_CLOEXEC | _directFlag | (_isBlockDevice ? Libc.O_EXCL : 0);
        _writer = OpenOrThrow($"/proc/self/fd/{_reader.Fd}", Path, flags);
    }

    /// <inheritdoc/>
    public void Lock(DiskLock mode)
    {
        if (mode == _lock) return;
        FileLock.Change(_reader, _lock, mode, Path);
        _lock = mode;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        // A process that some thread is just starting has a copy of every descriptor until its exec: closing ours alone
        // would not end the lock at once.
        if (!_reader.IsClosed) Lock(DiskLock.None);
        _writer?.Dispose();
        _reader.Dispose();
    }

    private SafeFd Writer => _writer ?? throw new DiskException(Path, "is open for reading only");

    /// <summary>Finds out by a read whether I/O past the page cache works in the guest's unit.</summary>
    private void RequireSectors()
    {
        const nuint Sector = 512;
        byte* block = (byte*)NativeMemory.AlignedAlloc(2 * Sector, 2 * Sector);
        try
        {
            // SAFETY: a sector inside the block, aligned to that and to no more.
            if (Libc.pread(_reader.Fd, block + Sector, Sector, (long)Sector) >= 0) return;
            LibcException e = LibcException.FromLastError("pread", Path);
            throw e.Errno == Libc.EINVAL
                ? new DiskException(Path, "cannot be used with cache=none: the host wants I/O past the page cache aligned "
                    + "to more than the 512 bytes of a guest's sector", e)
                : e;
        }
        finally
        {
            NativeMemory.AlignedFree(block);
        }
    }

    private static SafeFd OpenOrThrow(string target, string path, int flags)
    {
        int fd = Libc.open(target, flags, 0x180); // rw for the owner only: guest data is nobody else's business
        if (fd >= 0) return new SafeFd(fd);
        LibcException e = LibcException.FromLastError("open", path);
        if (e.Errno == Libc.EINVAL && (flags & Libc.O_DIRECT) != 0)
            throw new DiskException(path, "is on a file system that cannot do I/O past the page cache (cache=none)", e);
        if (e.Errno == Libc.EBUSY)
            throw new DiskInUseException(path, "in use: the host has it mounted or open exclusively");
        string verb = (flags & Libc.O_CREAT) != 0 ? "create" : (flags & Libc.O_RDWR) != 0 ? "write to" : "open";
        throw new DiskException(path, $"cannot {verb} it: {Marshal.GetPInvokeErrorMessage(e.Errno)}", e);
    }

    private static StatX Status(SafeFd fd, string path)
    {
        StatX status;
        // SAFETY: statx fills the struct, which has the kernel's size.
        return Libc.statx(fd.Fd, "", Libc.AT_EMPTY_PATH, Libc.STATX_BASIC_STATS, &status) == 0
            ? status
            : throw LibcException.FromLastError("statx", path);
    }

    private bool TryAllocate(int mode, long offset, long length)
    {
        // Why it fails does not matter (it cannot, the range is not in the device's units, no space for its own books): what
        // must be zeros is written then, and that write says what is wrong.
        bool done = Libc.fallocate(Writer.Fd, mode, offset, length) == 0;
        Volatile.Write(ref _unsynced, 1);
        return done;
    }

    private long Transfer(ReadOnlySpan<IoVec> vectors, long offset, SafeFd fd, bool writing)
    {
        long done = 0;
        // SAFETY: the caller vouches for the memory the vectors name; the kernel checks it again.
        fixed (IoVec* first = vectors)
        {
            IoVec* next = first;
            IoVec* end = first + vectors.Length;
            while (next < end)
            {
                if (next->Length == 0)
                {
                    next++;
                    continue;
                }

                int count = (int)Math.Min(end - next, MaxVectors);
                nint moved = writing
                    ? Libc.pwritev(fd.Fd, next, count, offset + done)
                    : Libc.preadv(fd.Fd, next, count, offset + done);
                if (!Went(moved, writing)) continue;
                if (moved == 0) return done;
                done += moved;
                nuint left = (nuint)moved;
                while (next < end && left >= next->Length) left -= next++->Length;
                if (left == 0) continue;
                // Stopped inside a vector: finish that one by itself rather than copy the list.
                nint rest = Finish(*next, left, offset + done, fd, writing);
                done += rest;
                if (left + (nuint)rest < next->Length) return done;
                next++;
            }
        }

        return done;
    }

    private nint Finish(IoVec vector, nuint skip, long offset, SafeFd fd, bool writing)
    {
        nint done = 0;
        while (skip + (nuint)done < vector.Length)
        {
            // SAFETY: as in Transfer; the address and length stay inside the vector.
            byte* at = (byte*)vector.Base + skip + done;
            nuint length = vector.Length - skip - (nuint)done;
            nint moved = writing
                ? Libc.pwrite(fd.Fd, at, length, offset + done)
                : Libc.pread(fd.Fd, at, length, offset + done);
            if (!Went(moved, writing)) continue;
            if (moved == 0) break;
            done += moved;
        }

        return done;
    }

    /// <summary>Whether a transfer counts; false if it was only interrupted.</summary>
    private bool Went(nint moved, bool writing)
    {
        if (moved > 0 || (moved == 0 && !writing)) return true;
        // A write of nothing to a device means its end: there is no such thing inside LengthBytes.
        if (moved == 0) throw new DiskException(Path, "the host wrote nothing: past the end of the device");
        int errno = Marshal.GetLastPInvokeError();
        return errno == Libc.EINTR ? false : throw new LibcException(writing ? "pwritev" : "preadv", errno, Path);
    }
}
