namespace VirtioBlk.Store;

/// <summary>
/// How a disk's bytes are laid out in its file. Always told, never probed: a guest that can write sector 0 of a raw
/// disk must not be able to turn it into an image that names a host file as its backing.
/// </summary>
public enum DiskFormat
{
    /// <summary>The file is the disk.</summary>
    Raw,
    /// <summary>qcow2, version 2 (reading) or 3.</summary>
    Qcow2,
}
