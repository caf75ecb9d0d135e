namespace Vmm.HostCheck;

/// <summary>What <c>bgkvm doctor</c> tells about a host.</summary>
/// <param name="Verdict">The conclusion.</param>
/// <param name="Checks">What was tried, in order. A failed check can keep later ones from being tried.</param>
/// <param name="Facts">What the host is; null in the quick form.</param>
public sealed record HostReport(HostVerdict Verdict, IReadOnlyList<HostCheckResult> Checks, HostFacts? Facts);
