namespace VirtioBlk.Store;

/// <summary>
/// A disk that can be a layer of a chain: written while it is on top, then frozen under others, later merged into.
/// </summary>
/// <remarks>
/// A reader sees a write of the same bytes that is under way either not at all or in full, sector by sector, as on a
/// real disk.
/// </remarks>
public interface IDiskLayer : IBlockBackend
{
    /// <summary>The file or block device.</summary>
    string Path { get; }

    /// <summary>Its format.</summary>
    DiskFormat Format { get; }

    /// <summary>
    /// Refuses writes from now on; those under way have ended when it returns. Does no I/O of its own and takes no time
    /// that depends on anything else, so it may be called inside a pause. The next <see cref="IBlockBackend.Flush"/>
    /// that begins writes out what is still in memory and then lets other processes open the file for reading; until then they are
    /// told that it is in use.
    /// </summary>
    void Freeze();

    /// <summary>
    /// Takes writes again, so that the layer above can be merged into it. What has been written before is made durable
    /// first; from here on a flush of the layer above no longer flushes this one.
    /// </summary>
    /// <exception cref="DiskInUseException">Another process, or another open in this one, reads it.</exception>
    /// <exception cref="DiskException">It can be read only.</exception>
    void Thaw();

    /// <summary>
    /// What a flush of the layer above needs from this one: everything the guest wrote here is durable. Does nothing
    /// between <see cref="Thaw"/> and <see cref="Freeze"/>, when only a merge writes here, whose data the layer above
    /// it still has.
    /// </summary>
    void FlushForUpper();
}
