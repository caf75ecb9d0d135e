using Kvm.Interop;

namespace Cloning.Instances;

/// <summary>
/// Where a guest's output is appended. At <see cref="MaxBytes"/> the file is put aside, in the place of the one before, and begun
/// again: a guest that prints for ever takes twice that much of the host's disk and no more.
/// </summary>
internal sealed class GuestLog : IDisposable
{
    /// <summary>Size at which a file is put aside.</summary>
    public const long MaxBytes = 8 << 20;

    private const int O_WRONLY = 1, O_TRUNC = 0x200, O_APPEND = 0x400;

    private readonly string _path;
    private readonly long _maxBytes;
    private SafeFd _file;
    private long _bytes;

    /// <summary>Opens it.</summary>
    /// <param name="path">The file; put aside it is called the same with <c>.1</c> at its end.</param>
    /// <param name="startOver">Whether what it holds already is dropped.</param>
    /// <param name="maxBytes">Other than <see cref="MaxBytes"/> for tests.</param>
    /// <exception cref="LibcException">It cannot be opened.</exception>
    public GuestLog(string path, bool startOver, long maxBytes = MaxBytes)
    {
        (_path, _maxBytes) = (path, maxBytes);
        _file = Open(path, startOver ? O_TRUNC : 0);
        if (_file.IsInvalid) throw LibcException.FromLastError("open", path);
        _bytes = Libc.lseek(_file.Fd, 0, Libc.SEEK_END);
    }

    /// <summary>How long a log is, bytes; 0 where there is none.</summary>
    public static long LengthOf(string path) => new FileInfo(path) is { Exists: true } log ? log.Length : 0;

    /// <summary>Appends. A full disk must not stop the guest: what cannot be written is lost.</summary>
    public unsafe void Append(ReadOnlySpan<byte> output)
    {
        if (output.Length == 0) return;
        if (_bytes + output.Length > _maxBytes) PutAside();
        // SAFETY: the kernel reads the memory, which is fixed for the call.
        fixed (byte* start = output)
            _bytes += Math.Max(0, Libc.write(_file.Fd, start, (nuint)output.Length));
    }

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();

    private static SafeFd Open(string path, int flags) =>
        new(Libc.open(path, O_WRONLY | O_APPEND | flags | Libc.O_CREAT | Libc.O_CLOEXEC, 0x180 /* 0600 */));

    private void PutAside()
    {
        // Where it does not work out (no descriptors left, say) the old file goes on.
        if (Libc.rename(_path, _path + ".1") != 0) return;
        SafeFd next = Open(_path, 0);
        if (next.IsInvalid) return;
        _file.Dispose();
        (_file, _bytes) = (next, 0);
    }
}
