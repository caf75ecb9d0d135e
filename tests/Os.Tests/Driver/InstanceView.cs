namespace Os.Tests.Driver;

/// <summary>What <c>bgkvm status NAME --json</c> prints.</summary>
internal sealed record InstanceView(
    string Name,
    string State,
    int? Pid,
    DateTimeOffset? StartedAt,
    int Generation,
    int MemoryMiB,
    int Cpus,
    string? BackgroundPhase,
    int? ShadowPid,
    int ChainDepth,
    RebootView? LastReboot,
    IsolationView? Isolation = null);
