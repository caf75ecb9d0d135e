namespace Os.Tests.Driver;

/// <summary>What <c>bgkvm reboot --json</c> prints.</summary>
internal sealed record RebootView(
    string Mode,
    string Outcome,
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
    string? DiscardedPath,
    IReadOnlyList<string>? LastLines);
