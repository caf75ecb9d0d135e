using System.Text.Json.Serialization;

namespace Cloning.Instances;

/// <summary>What the user asked for with <c>bgkvm start</c>; kept as <c>config.json</c> in the instance directory. Paths are absolute.</summary>
/// <param name="Name">The instance's name.</param>
/// <param name="Disks">All disks, in the order in which the guest sees them: /dev/vda, /dev/vdb …</param>
/// <param name="Kernel">Linux bzImage or ELF vmlinux, read again at every boot; null where there is firmware.</param>
/// <param name="Initrd">Initial RAM disk, read again at every boot, or null.</param>
/// <param name="CommandLine">Kernel command line, at most 2047 bytes.</param>
/// <param name="MemoryMiB">Guest memory, MiB.</param>
/// <param name="Cpus">Number of vCPUs, at least 1.</param>
/// <param name="ReadyPattern">Regular expression that the serial console shows when the OS counts as up.</param>
/// <param name="Firmware">Firmware image that boots from a system disk, read again at every boot; null where there is a kernel.</param>
/// <param name="ReadyCommand">Shell command that succeeds on the host when the OS counts as up, in place of the pattern; or null.</param>
public sealed record InstanceConfig(
    string Name,
    IReadOnlyList<DiskConfig> Disks,
    string? Kernel,
    string? Initrd,
    string CommandLine,
    int MemoryMiB,
    int Cpus,
    string ReadyPattern,
    string? Firmware = null,
    string? ReadyCommand = null)
{
    /// <summary>The default of <see cref="ReadyPattern"/>: a login prompt.</summary>
    public const string DefaultReadyPattern = "login:";

    /// <summary>The system disks, in order: part of the forked state.</summary>
    [JsonIgnore]
    public IReadOnlyList<DiskConfig> SystemDisks => [.. Disks.Where(disk => !disk.Persistent)];

    /// <summary>The persistent disks, in order: excluded from fork and restore.</summary>
    [JsonIgnore]
    public IReadOnlyList<DiskConfig> PersistentDisks => [.. Disks.Where(disk => disk.Persistent)];

    /// <summary>Where in the guest's order the disks of either kind are.</summary>
    public int[] Slots(bool persistent) => [.. Disks.Index().Where(disk => disk.Item.Persistent == persistent).Select(disk => disk.Index)];
}
