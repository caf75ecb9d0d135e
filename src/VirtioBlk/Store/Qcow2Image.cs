using Kvm.Interop;
using VirtioBlk.Store.Qcow2;

namespace VirtioBlk.Store;

/// <summary>
/// A qcow2 image (version 3; version 2 for reading): a disk that holds what was written to it and leaves the rest to
/// its backing. The format is the one of QEMU's docs/interop/qcow2.rst; <c>qemu-img check</c> finds the file clean
/// after every <see cref="Flush"/>, and after a crash at any point at worst leaked clusters.
/// </summary>
/// <remarks>
/// Not supported, and refused by name: encryption, external data files, unknown incompatible features; and for writing:
/// internal snapshots, the dirty bit, extended L2 entries, refcounts not 16 bits wide, version 2. New clusters are not
/// compressed.
/// </remarks>
public sealed class Qcow2Image : IDiskLayer
{
    /// <summary>Cluster size of new images unless told otherwise.</summary>
    public const int DefaultClusterBytes = 64 << 10;

    private readonly IHostFile _file;
    private readonly Header _header;
    private readonly Metadata _meta;
    private readonly LayerIo _io;
    private readonly LayerAccess _access;
    private readonly bool _ownsBacking;
    private bool _disposed;

    private Qcow2Image(
        IHostFile file, Header header, LayerState state, IBlockBackend? backing, bool ownsBacking, long maxCacheBytes)
    {
        _ownsBacking = ownsBacking;
        _file = file;
        _header = header;
        _access = new LayerAccess(file, state);
        _meta = new Metadata(file, header, maxCacheBytes);
        _io = new LayerIo(file, _meta) { Backing = backing };
    }

    /// <inheritdoc/>
    public string Path => _file.Path;

    /// <inheritdoc/>
    public DiskFormat Format => DiskFormat.Qcow2;

    /// <inheritdoc/>
    public long LengthBytes => _header.DiskBytes;

    /// <inheritdoc/>
    public bool IsReadOnly => !_access.State.TakesWrites();

    /// <inheritdoc/>
    public bool IsCrowded => _meta.IsCrowded;

    /// <summary>Size of a cluster, the unit of allocation, in bytes.</summary>
    public int ClusterBytes => _header.Geometry.ClusterBytes;

    /// <summary>What is under this layer, or null.</summary>
    public IBlockBackend? Backing => _io.Backing;

    /// <summary>
    /// The backing file's name as it stands in the image, or null; relative to the image's directory.
    /// </summary>
    public string? BackingName => _header.BackingName;

    /// <summary>The backing file's format as it stands in the image, or null.</summary>
    public string? BackingFormat => _header.BackingFormat;

    /// <summary>
    /// Guest data held in this layer, in bytes, in whole clusters. Free to ask for on an image that was empty when it
    /// was opened; on others the first call reads all L2 tables, 8 bytes for each cluster.
    /// </summary>
    public long AllocatedBytes
    {
        get
        {
            lock (_meta.Gate) return _meta.Map.DataClusters << _header.Geometry.ClusterBits;
        }
    }

    /// <summary>Makes a new, empty image, durably.</summary>
    /// <param name="path">Where; there must be no file yet.</param>
    /// <param name="diskBytes">The disk's size, a positive multiple of 512.</param>
    /// <param name="backingPath">
    /// What is to be under it, or null. Stands in the image as it is given: relative paths are relative to the image's
    /// directory. It need not exist.
    /// </param>
    /// <param name="backingFormat">The backing's format; with a path and only with one.</param>
    /// <param name="clusterBytes">A power of two from 512 to 2 MiB.</param>
    /// <exception cref="DiskException">There is such a file, it cannot be made, or the size cannot be had.</exception>
    public static void Create(
        string path,
        long diskBytes,
        string? backingPath = null,
        DiskFormat? backingFormat = null,
        int clusterBytes = DefaultClusterBytes)
    {
        int clusterBits = int.Log2(clusterBytes);
        if (!int.IsPow2(clusterBytes) || clusterBits is < Geometry.MinClusterBits or > Geometry.MaxClusterBits)
            throw new DiskException(path,
                $"a cluster size of {clusterBytes} bytes is not a power of two from 512 to 2 MiB");
        if (diskBytes <= 0 || diskBytes % 512 != 0)
            throw new DiskException(path, $"a disk size of {diskBytes} bytes is not a positive multiple of 512");
        if (backingPath is null != backingFormat is null)
            throw new ArgumentException("a backing file needs a format, and a format a backing file",
                nameof(backingFormat));

        using HostFile file = HostFile.Create(path);
        try
        {
            string? name = backingPath is null ? null : BackingPaths.ForHeader(backingPath);
            Creator.Write(file, clusterBits, diskBytes, name, backingFormat);
            Libc.SyncDirectoryOf(path);
        }
        catch
        {
            File.Delete(path);
            throw;
        }
    }

    /// <summary>Opens an image. The backing is not opened here: see <see cref="DiskChain"/>.</summary>
    /// <param name="path">The image.</param>
    /// <param name="readOnly">Whether writes are refused.</param>
    /// <param name="backing">
    /// What is under it; null for zeros. The name in the image is not looked at.
    /// </param>
    /// <param name="ownsBacking">
    /// Whether what is under the image is disposed with it. False where several images share it.
    /// </param>
    /// <param name="mode">
    /// What others may do meanwhile; by default <see cref="DiskLock.Shared"/> for a reader, else exclusive.
    /// </param>
    /// <exception cref="DiskInUseException">Somebody else has it open in a way that excludes this.</exception>
    /// <exception cref="DiskException">
    /// It cannot be opened, is no qcow2 image, is damaged, or uses something that is not supported.
    /// </exception>
    public static Qcow2Image Open(
        string path, bool readOnly, IBlockBackend? backing = null, bool ownsBacking = true, DiskLock? mode = null) =>
        Open(
            HostFile.Open(path, !readOnly, mode ?? (readOnly ? DiskLock.Shared : DiskLock.Exclusive)),
            readOnly,
            backing,
            ownsBacking: ownsBacking);

    /// <summary>Opens an image in a file that is open already and belongs to the image from here on.</summary>
    internal static Qcow2Image Open(
        IHostFile file,
        bool readOnly,
        IBlockBackend? backing,
        long maxCacheBytes = Metadata.DefaultCacheBytes,
        bool ownsBacking = true)
    {
        try
        {
            Header header = Header.Read(file);
            LayerState state = readOnly ? LayerState.ReadOnly : LayerState.Writable;
            Qcow2Image image = new(file, header, state, backing, ownsBacking, maxCacheBytes);
            if (!readOnly) image.CheckWritable();
            return image;
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
        _io.Read(vectors, offset);
    }

    /// <inheritdoc/>
    public bool TryReadCached(ReadOnlySpan<IoVec> vectors, long offset) => _io.TryReadCached(vectors, offset);

    /// <inheritdoc/>
    public bool TryWriteCached(ReadOnlySpan<IoVec> vectors, long offset)
    {
        using GracePeriod.Stay write = _access.Write();
        return _io.TryWriteCached(vectors, offset);
    }

    /// <inheritdoc/>
    public void Write(ReadOnlySpan<IoVec> vectors, long offset)
    {
        using GracePeriod.Stay write = _access.Write();
        _io.Write(vectors, offset);
    }

    /// <inheritdoc/>
    public void Discard(long offset, long length)
    {
        using GracePeriod.Stay write = _access.Write();
        _io.Discard(offset, length);
    }

    /// <inheritdoc/>
    public void WriteZeroes(long offset, long length, bool mayUnmap)
    {
        using GracePeriod.Stay write = _access.Write();
        _io.WriteZeroes(offset, length, mayUnmap);
    }

    /// <summary>
    /// Makes everything the guest wrote durable, in the layers below first: what it wrote before a fork is in one of
    /// those. Then the file is a sound image.
    /// </summary>
    public void Flush()
    {
        using (_meta.InUse.Enter())
        {
            if (_io.Backing is IDiskLayer layer) layer.FlushForUpper();
            else _io.Backing?.Flush();
        }

        FlushThis();
    }

    /// <inheritdoc/>
    public void FlushForUpper()
    {
        if (_access.State != LayerState.Thawed) Flush();
    }

    /// <inheritdoc/>
    public void Freeze() => _access.Freeze();

    /// <inheritdoc/>
    public void Thaw()
    {
        if (_access.State.TakesWrites()) return;
        Flush();
        _access.Thaw(CheckWritable);
    }

    /// <summary>
    /// Puts this layer on top of another one: in the file, where a crash leaves the old name or the new one, and here.
    /// Both must read the same wherever this layer has nothing.
    /// </summary>
    /// <param name="backing">What is to be under this layer, on the same terms of ownership; null for nothing.</param>
    /// <param name="backingPath">Its name, as in <see cref="Create"/>; null without a backing.</param>
    /// <param name="backingFormat">Its format; null without a backing.</param>
    /// <returns>
    /// What was under this layer until now: the caller's to dispose, and no call from here is using it any more.
    /// </returns>
    /// <exception cref="DiskException">The layer is not writable, or its header has no room for the name.</exception>
    /// <exception cref="IOException">The host failed. The layer is still on top of the old one here; the file names either.</exception>
    public IBlockBackend? SetBacking(IBlockBackend? backing, string? backingPath, DiskFormat? backingFormat)
    {
        using GracePeriod.Stay write = _access.Write();
        BackingChange change = BackingChange.Stage(
            _file, _header, backingPath is null ? null : BackingPaths.ForHeader(backingPath), backingFormat);
        // With flushes kept out the refcount table, whose place is in the same sector, stays where it is.
        lock (_meta.WriteBack.Flushing) change.Write();
        // Durable before it is so here: after a failure the old backing still is what this layer is on.
        _file.Sync();
        IBlockBackend? old = _io.Backing;
        _io.Backing = backing;
        _meta.InUse.Wait();
        return old;
    }

    /// <summary>
    /// Flushes, if it may hold anything that the file lacks, and closes this image and, if it owns it, what is under
    /// it.
    /// </summary>
    public void Dispose()
    {
        if (_disposed) return;
        _disposed = true;
        try
        {
            if (_access.State != LayerState.ReadOnly) FlushThis();
        }
        finally
        {
            _file.Dispose();
            _io.Dispose();
            if (_ownsBacking) _io.Backing?.Dispose();
        }
    }

    /// <summary>Says what is under a layer that has just been opened.</summary>
    internal void Attach(IBlockBackend? backing) => _io.Backing = backing;

    /// <summary>Where the bytes from an offset on are, in this layer.</summary>
    internal Extent Lookup(long offset, long limit) => _meta.Lookup(offset, limit);

    private void CheckWritable()
    {
        if (Features.Unwritable(_header) is { } problem) throw new DiskException(Path, problem);
        if (_header.AutoClear != 0) HeaderWriter.ClearAutoClear(_file, _header);
    }

    private void FlushThis()
    {
        int frozen = _access.Frozen;
        _meta.WriteBack.Run(durable: true);
        _access.Share(frozen);
    }
}
