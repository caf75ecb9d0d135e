namespace Cloning.Instances;

/// <summary>What the user asked for with <c>bgkvm start</c>; kept as <c>config.json</c> in the instance directory. Paths are absolute.</summary>
/// <param name="Name">The instance's name.</param>
/// <param name="SystemDisks">System disks, in order: part of the forked state. The guest sees them first (/dev/vda …).</param>
/// <param name="PersistentDisks">Persistent disks (raw), in order: excluded from fork and restore. The guest sees them next.</param>
/// <param name="Kernel">Linux bzImage or ELF vmlinux, read again at every boot; null where there is firmware.</param>
/// <param name="Initrd">Initial RAM disk, read again at every boot, or null.</param>
/// <param name="CommandLine">Kernel command line, at most 2047 bytes.</param>
/// <param name="MemoryMiB">Guest memory, MiB.</param>
/// <param name="Cpus">Number of vCPUs, at least 1.</param>
/// <param name="ReadyPattern">Regular expression that the serial console shows when the OS counts as up.</param>
/// <param name="Firmware">Firmware image that boots from a system disk, read again at every boot; null where there is a kernel.</param>
public sealed record InstanceConfig(
    string Name,
    IReadOnlyList<DiskConfig> SystemDisks,
    IReadOnlyList<string> PersistentDisks,
    string? Kernel,
    string? Initrd,
    string CommandLine,
    int MemoryMiB,
    int Cpus,
    string ReadyPattern,
    string? Firmware = null)
{
    /// <summary>The default of <see cref="ReadyPattern"/>: a login prompt.</summary>
    public const string DefaultReadyPattern = "login:";
}
