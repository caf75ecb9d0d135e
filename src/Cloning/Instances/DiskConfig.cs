namespace Cloning.Instances;

/// <summary>A disk as the user named it.</summary>
/// <param name="Path">Absolute path of a file or block device.</param>
/// <param name="Format"><c>raw</c> or <c>qcow2</c>; always explicit, never probed. A persistent disk is raw.</param>
/// <param name="ReadOnly">Whether the guest may only read it.</param>
/// <param name="Persistent">Whether it is excluded from fork and restore, instead of a part of the forked state.</param>
/// <param name="Direct">Persistent: whether its I/O goes past the host's page cache (<c>cache=none</c>).</param>
public sealed record DiskConfig(string Path, string Format, bool ReadOnly, bool Persistent = false, bool Direct = false);
