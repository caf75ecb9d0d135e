namespace Cloning.Disks;

/// <summary>A discarded chain that the user wants to keep, until it has been copied.</summary>
/// <param name="File">The copy, absolute: one qcow2 file over the user's own image.</param>
/// <param name="Layers">The chain as it was discarded, base first.</param>
public sealed record KeptDisk(string File, IReadOnlyList<Layer> Layers);
