using System.Runtime.InteropServices;

namespace Kvm.Interop;

/// <summary>C <c>struct flock</c> (bits/fcntl.h, x86-64): a byte range for F_OFD_SETLK and F_OFD_GETLK.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct FileRangeLock
{
    /// <summary><c>l_type</c>: F_RDLCK, F_WRLCK or F_UNLCK.</summary>
    public short Type;
    /// <summary><c>l_whence</c>: 0, from the start of the file.</summary>
    public short Whence;
    /// <summary><c>l_start</c>, in bytes.</summary>
    public long Start;
    /// <summary><c>l_len</c>, in bytes.</summary>
    public long Length;
    /// <summary><c>l_pid</c>: 0 for open-file-description locks.</summary>
    public int Pid;
}
