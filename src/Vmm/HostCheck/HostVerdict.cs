namespace Vmm.HostCheck;

/// <summary>Whether an operating system can run here.</summary>
/// <param name="LinuxCanRun">Whether bgkvm can boot Linux on this host.</param>
/// <param name="Reason">One clear sentence: what works, or why it does not.</param>
/// <param name="WayOut">One sentence on how to get there; null when Linux can run.</param>
public sealed record HostVerdict(bool LinuxCanRun, string Reason, string? WayOut);
