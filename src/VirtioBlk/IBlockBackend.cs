using Kvm.Interop;

namespace VirtioBlk;

/// <summary>
/// Where a disk's bytes are. Offsets and lengths are in bytes, multiples of 512, inside <see cref="LengthBytes"/>:
/// callers check.
/// </summary>
/// <remarks>
/// Any number of threads may call the I/O methods at once; requests that overlap in time and in range have no order among
/// them, as virtio has it. They block, and they throw <see cref="IOException"/> (<see cref="LibcException"/>) when the
/// host fails: the device turns that into VIRTIO_BLK_S_IOERR.
/// </remarks>
public interface IBlockBackend : IDisposable
{
    /// <summary>The disk's size, a multiple of 512.</summary>
    long LengthBytes { get; }

    /// <summary>Whether writes are refused.</summary>
    bool IsReadOnly { get; }

    /// <summary>
    /// Whether a <see cref="Flush"/> is due before the next change: too much waits in memory. Who goes on changing without one
    /// comes to where the change itself waits for the host's disk.
    /// </summary>
    bool IsCrowded => false;

    /// <summary>
    /// Whether it answers everything out of itself: no request waits for a turn, a worker or a flush, and none that was
    /// made of it is left to another disk.
    /// </summary>
    bool AnswersAtOnce => false;

    /// <summary>Fills memory from the disk.</summary>
    void Read(ReadOnlySpan<IoVec> vectors, long offset);

    /// <summary>
    /// Fills memory from the disk where nothing has to be waited for: what this process and the host's page cache hold.
    /// </summary>
    /// <returns>False: it has to be <see cref="Read"/>; until then the memory may hold anything.</returns>
    bool TryReadCached(ReadOnlySpan<IoVec> vectors, long offset) => false;

    /// <summary>
    /// Writes memory to the disk where nothing has to be waited for: into the host's page cache, where space for it is
    /// there already.
    /// </summary>
    /// <returns>False: it has to be <see cref="Write"/>; until then the sectors may hold anything.</returns>
    bool TryWriteCached(ReadOnlySpan<IoVec> vectors, long offset) => false;

    /// <summary>Writes memory to the disk. Durable only after a <see cref="Flush"/> that follows its return.</summary>
    void Write(ReadOnlySpan<IoVec> vectors, long offset);

    /// <summary>Makes every write that has returned survive a power cut.</summary>
    void Flush();

    /// <summary>
    /// The content of the range is no longer needed; it may read as anything afterwards (here: old content or zeros).
    /// </summary>
    void Discard(long offset, long length);

    /// <summary>The range reads as zeros afterwards.</summary>
    /// <param name="offset">Start.</param>
    /// <param name="length">Length.</param>
    /// <param name="mayUnmap">Whether its space may be given back.</param>
    void WriteZeroes(long offset, long length, bool mayUnmap);
}
