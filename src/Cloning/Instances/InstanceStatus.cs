using Cloning.Isolation;

namespace Cloning.Instances;

/// <summary>A look at an instance, for <c>bgkvm status</c>.</summary>
/// <param name="Name">Its name.</param>
/// <param name="State">What it is doing.</param>
/// <param name="Pid">Its process, or null when it is stopped.</param>
/// <param name="StartedAt">When the process started, or null when it is stopped.</param>
/// <param name="Generation">How many machines it has lived in: grows with every reboot of either kind.</param>
/// <param name="MemoryMiB">Guest memory, MiB.</param>
/// <param name="Cpus">vCPUs.</param>
/// <param name="BackgroundPhase">The phase of a background reboot under way, or null.</param>
/// <param name="ShadowPid">The shadow's process while there is one.</param>
/// <param name="ChainDepth">Layers of the longest chain of a system disk, the base included.</param>
/// <param name="LastReboot">The last reboot's report, or null.</param>
/// <param name="Upkeep">The merging of layers while there is something to merge, or null.</param>
/// <param name="Isolation">How the shadow under way, or else the last one, was kept off what the instance uses; null before the first.</param>
public sealed record InstanceStatus(
    string Name,
    InstanceState State,
    int? Pid,
    DateTimeOffset? StartedAt,
    int Generation,
    int MemoryMiB,
    int Cpus,
    RebootPhase? BackgroundPhase,
    int? ShadowPid,
    int ChainDepth,
    RebootReport? LastReboot,
    UpkeepStatus? Upkeep = null,
    IsolationReport? Isolation = null);
