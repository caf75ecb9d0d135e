namespace Interference;

/// <summary>What goes on beside the foreground, as tables call it.</summary>
/// <param name="Name">In tables.</param>
/// <param name="Priority">What <c>bgkvm reboot</c> is asked for; null: there is no shadow.</param>
/// <param name="Cpu">What is changed afterwards: niceness, or the group's cpu.idle; null for nothing.</param>
/// <param name="Memory">Whether its memory.high stays.</param>
/// <param name="Disk">Whether it has, or keeps, the lowest weights for the host's disks.</param>
/// <param name="Frozen">Whether it is frozen as soon as it is there: what is left is what the fork itself costs.</param>
/// <param name="Loop">Whether, in place of a shadow, a process that only counts runs with cpu.idle: what any background work costs on this host.</param>
internal sealed record ShadowKind(
    string Name, string? Priority, string? Cpu = null, bool Memory = true, bool? Disk = null, bool Frozen = false, bool Loop = false)
{
    /// <summary>Nothing goes on.</summary>
    public static readonly ShadowKind None = new("none", null);

    /// <summary>An ordinary process.</summary>
    public static readonly ShadowKind NoIsolation = new("no isolation", "normal");

    /// <summary>All that bgkvm does by default.</summary>
    public static readonly ShadowKind All = new("all", "idle");

    /// <summary>The ends of the scale.</summary>
    public static readonly ShadowKind[] Ends = [None, NoIsolation, All];

    /// <summary>The table's columns.</summary>
    public static readonly ShadowKind[] Columns =
    [
        None, NoIsolation,
        new("nice 19", "normal", Cpu: "nice"),
        new("cpu.idle", "normal", Cpu: "idle"),
        new("disk weights", "normal", Disk: true),
        new("limiter", "idle", Cpu: "none", Memory: false, Disk: false),
        new("low", "low"),
        All,
        new("frozen", "idle", Frozen: true),
        new("idle loop", null, Loop: true),
    ];
}
