using System.Runtime.InteropServices;
using CowMemory;
using Kvm.Interop;
using Microsoft.Win32.SafeHandles;

namespace Vmm.Boot;

/// <summary>A file to boot from. Every failure becomes one clear line.</summary>
internal sealed class BootFile : IDisposable
{
    private const int O_NONBLOCK = 0x800;
    private const ulong MiB = 1 << 20;

    private readonly SafeFileHandle _handle;
    private readonly string _role;

    private BootFile(SafeFileHandle handle, string role, string path, long length) =>
        (_handle, _role, Path, Length) = (handle, role, path, length);

    public string Path { get; }

    /// <summary>Bytes, when it was opened.</summary>
    public long Length { get; }

    /// <param name="role">What it is to the user: kernel, initrd.</param>
    /// <param name="path">Where it is.</param>
    public static BootFile Open(string role, string path)
    {
        if (Directory.Exists(path)) throw new BootImageException($"The {role} {path} is a directory");
        // Not File.OpenHandle: that takes an advisory lock, and would wait for ever for the other end of a pipe.
        int fd = Libc.open(path, Libc.O_RDONLY | Libc.O_CLOEXEC | O_NONBLOCK, 0);
        if (fd < 0)
        {
            LibcException cause = LibcException.FromLastError("open", path);
            string why = cause.Errno switch
            {
                Libc.ENOENT => "does not exist",
                Libc.EACCES => "may not be read: permission denied",
                _ => $"cannot be opened: {Marshal.GetPInvokeErrorMessage(cause.Errno)}",
            };
            throw new BootImageException($"The {role} {path} {why}", cause);
        }

        SafeFileHandle handle = new(fd, ownsHandle: true);
        try
        {
            long length = RandomAccess.GetLength(handle);
            if (length == 0) throw new BootImageException($"The {role} {path} is empty");
            return new BootFile(handle, role, path, length);
        }
        catch (NotSupportedException cause)
        {
            handle.Dispose();
            throw new BootImageException($"The {role} {path} is not a regular file", cause);
        }
        catch
        {
            handle.Dispose();
            throw;
        }
    }

    /// <summary>Reads straight into the target.</summary>
    /// <exception cref="BootImageException">The file ends before, or the host cannot read it.</exception>
    public void Read(long offset, Span<byte> target)
    {
        try
        {
            while (target.Length > 0)
            {
                int read = RandomAccess.Read(_handle, target, offset);
                if (read == 0) throw Truncated();
                offset += read;
                target = target[read..];
            }
        }
        catch (Exception cause) when (cause is IOException or UnauthorizedAccessException)
        {
            throw new BootImageException($"The {_role} {Path} cannot be read: {cause.Message}", cause);
        }
    }

    /// <summary>Reads straight into guest memory.</summary>
    public void Read(long offset, GuestMemory memory, ulong address, ulong length) =>
        Read(offset, memory.Write(new Gpa(address), checked((int)length)));

    public BootImageException Truncated() =>
        new($"The {_role} {Path} is truncated: it has {Length} bytes and should have more");

    public BootImageException Bad(string why) => new($"The {_role} {Path} {why}");

    /// <param name="start">Where it would begin.</param>
    /// <param name="length">How much it needs from there, bytes.</param>
    /// <param name="memoryEnd">First address above the memory it may use.</param>
    public BootImageException TooLarge(ulong start, ulong length, ulong memoryEnd)
    {
        UInt128 needed = ((UInt128)start + length + MiB - 1) / MiB;
        return Bad($"is too large for the machine's memory: it needs {needed} MiB, and has {memoryEnd / MiB} MiB");
    }

    public void Dispose() => _handle.Dispose();
}
