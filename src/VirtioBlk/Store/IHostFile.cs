using Kvm.Interop;

namespace VirtioBlk.Store;

/// <summary>
/// The host file under a disk. The real one is <see cref="HostFile"/>; tests put one between that records, fails or
/// stops.
/// </summary>
/// <remarks>All methods may be called from several threads at once.</remarks>
internal interface IHostFile : IDisposable
{
    /// <summary>For messages.</summary>
    string Path { get; }

    /// <summary>Size now, in bytes.</summary>
    long LengthBytes { get; }

    /// <summary>Reads until the memory is full or the file ends.</summary>
    /// <returns>Bytes read.</returns>
    long Read(ReadOnlySpan<IoVec> vectors, long offset);

    /// <summary>Fills the memory if the host has all of it in its page cache.</summary>
    /// <returns>False if not, or if the file ends before; the memory may then hold anything.</returns>
    bool TryReadCached(ReadOnlySpan<IoVec> vectors, long offset);

    /// <summary>Writes everything.</summary>
    void Write(ReadOnlySpan<IoVec> vectors, long offset);

    /// <summary>
    /// Makes every write that has returned survive a power cut; does nothing when there was none since the last time.
    /// </summary>
    /// <remarks>
    /// Once it has failed it fails forever: the kernel reports a lost write only once and then forgets it.
    /// </remarks>
    void Sync();

    /// <summary>Gives the space of a range back; it then reads as zeros.</summary>
    /// <returns>False where the host does not do that, for whatever reason: some of the range may read as zeros.</returns>
    bool TryPunch(long offset, long length);

    /// <summary>Makes a range read as zeros, keeping its space.</summary>
    /// <returns>False where the host does not do that other than by writing, as above.</returns>
    bool TryZero(long offset, long length);

    /// <summary>Allows writing; a second time it does nothing.</summary>
    void MakeWritable();

    /// <summary>Changes the lock.</summary>
    /// <exception cref="DiskInUseException">Somebody excludes it; the lock is as before.</exception>
    void Lock(DiskLock mode);
}
