namespace Cloning.Instances;

/// <summary>A disk as the user named it.</summary>
/// <param name="Path">Absolute path of a file or block device.</param>
/// <param name="Format"><c>raw</c> or <c>qcow2</c>; always explicit, never probed.</param>
/// <param name="ReadOnly">Whether the guest may only read it.</param>
public sealed record DiskConfig(string Path, string Format, bool ReadOnly);
