namespace Cloning.Disks;

/// <summary>One layer of a system disk's chain.</summary>
/// <param name="Path">A file name inside the instance's layer directory, or the absolute path of the user's own image (the base).</param>
/// <param name="Format"><c>raw</c> or <c>qcow2</c>; every layer of ours is qcow2.</param>
public sealed record Layer(string Path, string Format);
