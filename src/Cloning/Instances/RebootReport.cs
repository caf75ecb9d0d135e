namespace Cloning.Instances;

/// <summary>The result of a reboot; <c>reboot --json</c> prints exactly this. Microseconds are of the monotonic clock.</summary>
/// <param name="Mode">In place or background.</param>
/// <param name="Outcome">How it ended.</param>
/// <param name="Reason">Why it was aborted, or what else did not work out, or null.</param>
/// <param name="CloneMicros">Clone pause.</param>
/// <param name="QuiesceMicros">Time spent bringing the guest to rest.</param>
/// <param name="SwitchMicros">Switch pause.</param>
/// <param name="DowntimeMicros">Clone + quiesce + switch; in place: from the request until ready.</param>
/// <param name="ShutdownMillis">The old OS's shutdown.</param>
/// <param name="BootMillis">From reset until ready.</param>
/// <param name="TotalMillis">From the request until the instance ran the new OS.</param>
/// <param name="DiscardedBytes">Bytes written to system disks since the fork, which the new state does not have.</param>
/// <param name="MemoryMiB">Guest memory, MiB.</param>
/// <param name="DiscardedPath">The directory with the discarded disks, <c>disk0.qcow2</c> and so on, if they were to be kept.</param>
/// <param name="LastLines">Aborted: what the new OS's console showed last, oldest line first, if it is the OS that failed.</param>
public sealed record RebootReport(
    RebootMode Mode,
    RebootOutcome Outcome,
    string? Reason,
    long CloneMicros,
    long QuiesceMicros,
    long SwitchMicros,
    long DowntimeMicros,
    long ShutdownMillis,
    long BootMillis,
    long TotalMillis,
    long DiscardedBytes,
    int MemoryMiB,
    string? DiscardedPath = null,
    IReadOnlyList<string>? LastLines = null);
