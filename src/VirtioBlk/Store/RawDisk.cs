using Kvm.Interop;

namespace VirtioBlk.Store;

/// <summary>A raw file or block device: its bytes are the disk's.</summary>
/// <remarks>
/// I/O goes straight between the vectors' memory and the host's page cache, or past that; nothing is buffered here.
/// </remarks>
public sealed class RawDisk : IDiskLayer
{
    private readonly IHostFile _file;
    private readonly LayerAccess _access;
    private readonly bool _direct;

    private RawDisk(IHostFile file, long lengthBytes, LayerState state, bool direct)
    {
        _direct = direct;
        _file = file;
        LengthBytes = lengthBytes;
        _access = new LayerAccess(file, state);
    }

    /// <inheritdoc/>
    public string Path => _file.Path;

    /// <inheritdoc/>
    public DiskFormat Format => DiskFormat.Raw;

    /// <inheritdoc/>
    public long LengthBytes { get; }

    /// <inheritdoc/>
    public bool IsReadOnly => !_access.State.TakesWrites();

    /// <summary>Makes a raw disk: a file without any data, mode 0600, durably.</summary>
    /// <param name="path">Where; there must be no file yet.</param>
    /// <param name="diskBytes">The disk's size, a positive multiple of 512.</param>
    /// <exception cref="DiskException">There is such a file, it cannot be made, or the size cannot be had.</exception>
    public static void Create(string path, long diskBytes)
    {
        if (diskBytes <= 0 || diskBytes % 512 != 0)
            throw new DiskException(path, $"a disk size of {diskBytes} bytes is not a positive multiple of 512");
        using HostFile file = HostFile.Create(path);
        try
        {
            file.SetLength(diskBytes);
            Libc.SyncDirectoryOf(path);
        }
        catch
        {
            File.Delete(path);
            throw;
        }
    }

    /// <summary>Opens a raw disk. Its size is read once, here.</summary>
    /// <param name="path">A regular file or a block device.</param>
    /// <param name="readOnly">Whether writes are refused.</param>
    /// <param name="mode">
    /// What others may do meanwhile; by default <see cref="DiskLock.Shared"/> for a reader, else exclusive.
    /// </param>
    /// <param name="direct">
    /// Whether I/O goes past the host's page cache (O_DIRECT). The memory it moves to and from must then be aligned as the
    /// host wants it, at most to 512 bytes: block drivers do that. Where it is not, the host answers EINVAL.
    /// </param>
    /// <exception cref="DiskInUseException">Somebody else has it open in a way that excludes this.</exception>
    /// <exception cref="DiskException">
    /// It cannot be opened (or not that way), or its size is not a positive multiple of 512 bytes.
    /// </exception>
    public static RawDisk Open(string path, bool readOnly, DiskLock? mode = null, bool direct = false)
    {
        mode ??= readOnly ? DiskLock.Shared : DiskLock.Exclusive;
        HostFile file = HostFile.Open(path, !readOnly, mode.Value, direct);
        try
        {
            long length = file.LengthBytes;
            if (length == 0) throw new DiskException(path, "is empty: a disk has at least one sector");
            if (length % 512 != 0) throw new DiskException(path, $"its size, {length} bytes, is not a multiple of 512");
            return new RawDisk(file, length, readOnly ? LayerState.ReadOnly : LayerState.Writable, direct);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public void Read(ReadOnlySpan<IoVec> vectors, long offset)
    {
        long length = IoVecCursor.TotalBytes(vectors);
        if (_file.Read(vectors, offset) < length)
            throw new DiskException(Path, "has become shorter than it was when it was opened");
    }

    /// <inheritdoc/>
    public bool TryReadCached(ReadOnlySpan<IoVec> vectors, long offset) => _file.TryReadCached(vectors, offset);

    /// <inheritdoc/>
    public bool TryWriteCached(ReadOnlySpan<IoVec> vectors, long offset)
    {
        if (_direct) return false;
        Write(vectors, offset);
        return true;
    }

    /// <inheritdoc/>
    public void Write(ReadOnlySpan<IoVec> vectors, long offset)
    {
        using GracePeriod.Stay write = _access.Write();
        _file.Write(vectors, offset);
    }

    /// <inheritdoc/>
    public void Flush()
    {
        int frozen = _access.Frozen;
        _file.Sync();
        _access.Share(frozen);
    }

    /// <inheritdoc/>
    public void Discard(long offset, long length)
    {
        using GracePeriod.Stay write = _access.Write();
        // Where the host cannot free space the old content stays, which a discard allows.
        _file.TryPunch(offset, length);
    }

    /// <inheritdoc/>
    public void WriteZeroes(long offset, long length, bool mayUnmap)
    {
        using GracePeriod.Stay write = _access.Write();
        if (mayUnmap && _file.TryPunch(offset, length)) return;
        if (_file.TryZero(offset, length)) return;
        _file.WriteZeros(offset, length);
    }

    /// <inheritdoc/>
    public void Freeze() => _access.Freeze();

    /// <inheritdoc/>
    public void Thaw()
    {
        if (_access.State.TakesWrites()) return;
        Flush();
        _access.Thaw();
    }

    /// <inheritdoc/>
    public void FlushForUpper()
    {
        if (_access.State != LayerState.Thawed) Flush();
    }

    /// <summary>Flushes what has been written and closes the file.</summary>
    public void Dispose()
    {
        try
        {
            if (_access.State != LayerState.ReadOnly) _file.Sync();
        }
        finally
        {
            _file.Dispose();
        }
    }
}
