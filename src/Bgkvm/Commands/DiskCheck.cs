namespace Bgkvm.Commands;

/// <summary>What <c>disk check --json</c> prints.</summary>
/// <param name="Path">The image.</param>
/// <param name="Result"><c>clean</c>, <c>leaks</c> or <c>corrupt</c>.</param>
/// <param name="Corruptions">How many errors.</param>
/// <param name="Leaks">How many clusters count as used and are not.</param>
/// <param name="AllocatedClusters">Clusters of the disk that the image holds itself.</param>
/// <param name="TotalClusters">Clusters of the disk.</param>
/// <param name="Problems">The first of them in words.</param>
internal sealed record DiskCheck(
    string Path, string Result, long Corruptions, long Leaks, long AllocatedClusters, long TotalClusters, IReadOnlyList<string> Problems);
