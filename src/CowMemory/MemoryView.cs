namespace CowMemory;

/// <summary>How a machine maps its memory file.</summary>
public enum MemoryView
{
    /// <summary>MAP_SHARED: writes reach the file. One machine only, the file's owner.</summary>
    Shared,

    /// <summary>
    /// MAP_PRIVATE: writes are copies of their own. A snapshot only once nobody writes the file any more
    /// (<see cref="MemoryFile.SealFrozen"/>): until then other people's writes show in every page not yet copied.
    /// </summary>
    Private,
}
