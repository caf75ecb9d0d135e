using Kvm.Interop;

namespace VirtioBlk.Store;

/// <summary>
/// Open-file-description locks on a disk, in the byte layout of QEMU's file driver (block/file-posix.c), so that bgkvm
/// and <c>qemu-img</c> see each other: a read lock on byte 100 + p says "I use permission p", one on byte 200 + p says
/// "nobody else may"; p is 0 for a consistent read, 1 for writing, 3 for changing the size.
/// </summary>
/// <remarks>
/// Only read locks are ever held. Who wants in publishes its own first and then asks for each byte that would exclude
/// it, so of two that come at the same moment both may be turned away, but never both be let in.
/// </remarks>
internal static unsafe class FileLock
{
    private const int Uses = 100;
    private const int Forbids = 200;
    private const int Permissions = 4;

    private const int Reading = 0b0001;
    private const int Changing = 0b1010;

    /// <summary>Changes the lock held through <paramref name="fd"/>.</summary>
    /// <param name="fd">An open descriptor; closing it drops the lock.</param>
    /// <param name="from">The lock held now.</param>
    /// <param name="to">The lock wanted.</param>
    /// <param name="path">For messages.</param>
    /// <exception cref="DiskInUseException">Somebody excludes it; <paramref name="from"/> still holds.</exception>
    public static void Change(SafeFd fd, DiskLock from, DiskLock to, string path)
    {
        Publish(fd, Used(to) & ~Used(from), Forbidden(to) & ~Forbidden(from), Libc.F_RDLCK, path);
        if (Excluded(fd, to, path) is { } problem)
        {
            Publish(fd, Used(to) & ~Used(from), Forbidden(to) & ~Forbidden(from), Libc.F_UNLCK, path);
            throw new DiskInUseException(path, problem);
        }

        Publish(fd, Used(from) & ~Used(to), Forbidden(from) & ~Forbidden(to), Libc.F_UNLCK, path);
    }

    private static int Used(DiskLock mode) => mode switch
    {
        DiskLock.Exclusive => Reading | Changing,
        DiskLock.Shared => Reading,
        _ => 0,
    };

    private static int Forbidden(DiskLock mode) => mode == DiskLock.None ? 0 : Changing;

    private static string? Excluded(SafeFd fd, DiskLock mode, string path)
    {
        for (int p = 0; p < Permissions; p++)
        {
            if ((Forbidden(mode) >> p & 1) != 0 && Taken(fd, Uses + p, path))
                return "in use: something else writes to it";
        }

        for (int p = 0; p < Permissions; p++)
        {
            if ((Used(mode) >> p & 1) != 0 && Taken(fd, Forbids + p, path))
                return "in use: something else reads it and relies on it not to change";
        }

        return null;
    }

    private static void Publish(SafeFd fd, int used, int forbidden, short type, string path)
    {
        for (int p = 0; p < Permissions; p++)
        {
            if ((used >> p & 1) != 0) Call(fd, Libc.F_OFD_SETLK, type, Uses + p, path);
            if ((forbidden >> p & 1) != 0) Call(fd, Libc.F_OFD_SETLK, type, Forbids + p, path);
        }
    }

    private static bool Taken(SafeFd fd, long start, string path) =>
        Call(fd, Libc.F_OFD_GETLK, Libc.F_WRLCK, start, path).Type != Libc.F_UNLCK;

    private static FileRangeLock Call(SafeFd fd, int command, short type, long start, string path)
    {
        FileRangeLock range = new() { Type = type, Start = start, Length = 1 };
        // SAFETY: the kernel reads, and for F_OFD_GETLK writes, this one struct during the call.
        if (Libc.fcntl(fd.Fd, command, (nint)(&range)) == 0) return range;
        LibcException e = LibcException.FromLastError("fcntl", path);
        // Somebody holds a write lock there: not QEMU and not bgkvm, but it says clearly enough what it wants.
        if (e.Errno is Libc.EAGAIN or Libc.EACCES)
            throw new DiskInUseException(path, "in use: something else has locked it");
        throw e;
    }
}
