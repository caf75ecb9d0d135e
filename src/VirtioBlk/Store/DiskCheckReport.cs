namespace VirtioBlk.Store;

/// <summary>What <see cref="Qcow2Check"/> found.</summary>
/// <param name="Corruptions">Contradictions that harm the disk's content, or will when it is written.</param>
/// <param name="Leaks">Clusters that count as used and are not: space lost, nothing else.</param>
/// <param name="TotalClusters">Clusters of the disk.</param>
/// <param name="AllocatedClusters">Of those, how many the image holds itself.</param>
/// <param name="Problems">The first of both, in words.</param>
public sealed record DiskCheckReport(
    long Corruptions, long Leaks, long TotalClusters, long AllocatedClusters, IReadOnlyList<string> Problems);
