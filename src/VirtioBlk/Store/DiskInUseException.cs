namespace VirtioBlk.Store;

/// <summary>Somebody else has the disk open in a way that excludes what was asked.</summary>
/// <param name="path">The file or block device.</param>
/// <param name="problem">Who excludes whom.</param>
public sealed class DiskInUseException(string path, string problem) : DiskException(path, problem);
