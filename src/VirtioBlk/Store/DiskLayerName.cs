namespace VirtioBlk.Store;

/// <summary>A layer of a chain, as a manifest or a command line names it.</summary>
/// <param name="Path">The file or block device.</param>
/// <param name="Format">Its format.</param>
public sealed record DiskLayerName(string Path, DiskFormat Format);
