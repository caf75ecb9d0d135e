namespace Cloning.Instances;

/// <summary>How far the merging of layers is, while there is something to merge.</summary>
/// <param name="MergedBytes">Disk bytes gone through since it began.</param>
/// <param name="LeftBytes">Disk bytes still to go through. Most of them need no copying: only what a layer holds is copied.</param>
/// <param name="Problem">Why it has stopped, or null. It is tried again by itself.</param>
public sealed record UpkeepStatus(long MergedBytes, long LeftBytes, string? Problem);
