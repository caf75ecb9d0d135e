namespace Bgkvm.Commands;

/// <summary>What <c>disk info --json</c> prints.</summary>
/// <param name="SizeBytes">What the guest sees.</param>
/// <param name="Chain">The layers, the named one first.</param>
internal sealed record DiskInfo(long SizeBytes, IReadOnlyList<DiskLayerInfo> Chain);
