namespace Vmm.HostCheck;

/// <summary>One thing about the host, found out by trying it.</summary>
/// <param name="Name">What was tried, in a few words.</param>
/// <param name="Status">How it ended.</param>
/// <param name="Detail">What was seen: one line.</param>
/// <param name="Remedy">What to do about it: one line; null where there is nothing to do.</param>
public sealed record HostCheckResult(string Name, CheckStatus Status, string Detail, string? Remedy = null);
