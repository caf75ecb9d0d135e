using Cloning.Instances;

namespace Bgkvm.Hosting;

/// <summary>What a <c>start</c> command line says, or a machine file; null is what it does not say.</summary>
/// <param name="Disks">Disks of both kinds, in order.</param>
/// <param name="Kernel">Kernel image.</param>
/// <param name="Firmware">Firmware image, or <c>auto</c>.</param>
/// <param name="Initrd">Initial RAM disk; empty for none.</param>
/// <param name="Append">Kernel command line.</param>
/// <param name="MemoryMiB">Guest memory, MiB.</param>
/// <param name="Cpus">vCPUs.</param>
/// <param name="Ready">Ready pattern.</param>
/// <param name="ReadyCommand">Ready command.</param>
/// <param name="IsComplete">Whether this is all there is: what it does not say is the default, not what is stored.</param>
internal sealed record StartOptions(
    IReadOnlyList<DiskConfig>? Disks,
    string? Kernel,
    string? Firmware,
    string? Initrd,
    string? Append,
    int? MemoryMiB,
    int? Cpus,
    string? Ready,
    string? ReadyCommand,
    bool IsComplete = false)
{
    private const int DefaultMemoryMiB = 512;

    /// <summary>Whether the command line says nothing but the name.</summary>
    public bool IsEmpty => this == new StartOptions(null, null, null, null, null, null, null, null, null);

    /// <summary>These, but where others say something that: a machine file, with the command line over it.</summary>
    public StartOptions With(StartOptions over) => this with
    {
        Disks = over.Disks ?? Disks,
        Kernel = over.Kernel ?? (over.Firmware is null ? Kernel : null),
        Firmware = over.Firmware ?? (over.Kernel is null ? Firmware : null),
        Initrd = over.Initrd ?? (over.Firmware is null ? Initrd : null),
        Append = over.Append ?? (over.Firmware is null ? Append : null),
        MemoryMiB = over.MemoryMiB ?? MemoryMiB,
        Cpus = over.Cpus ?? Cpus,
        Ready = over.Ready ?? (over.ReadyCommand is null ? Ready : null),
        ReadyCommand = over.ReadyCommand ?? (over.Ready is null ? ReadyCommand : null),
    };

    /// <summary>What an instance shall be started with.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="stored">What it was started with last, or null for a new one.</param>
    /// <exception cref="InstanceException">Something that must be said is not, or its system disks would change.</exception>
    public InstanceConfig For(string name, InstanceConfig? stored)
    {
        if (stored is null) return Create(name);
        if (!IsComplete) return Over(stored);
        InstanceConfig config = Create(name);
        RequireSame(stored, config.SystemDisks);
        return config;
    }

    /// <summary>The configuration of a new instance.</summary>
    /// <exception cref="InstanceException">Something that must be said is not.</exception>
    public InstanceConfig Create(string name)
    {
        if (IsEmpty)
            throw new InstanceException($"there is no instance {name} in {InstanceDirectory.Home}", ExitCode.NoSuchInstance);
        if (Disks is null || Disks.All(disk => disk.Persistent)) throw new InstanceException($"{name} is new: it needs --disk", ExitCode.Usage);
        if (Kernel is null && Firmware is null)
            throw new InstanceException($"{name} is new: it needs --kernel or --firmware", ExitCode.Usage);
        return Over(new InstanceConfig(
            name, Disks, null, null, "", DefaultMemoryMiB, 1, InstanceConfig.DefaultReadyPattern));
    }

    /// <summary>What a stopped instance shall be started with.</summary>
    /// <param name="stored">What it was started with last.</param>
    /// <exception cref="InstanceException">Its system disks would change.</exception>
    public InstanceConfig Over(InstanceConfig stored)
    {
        if (Ready is not null && ReadyCommand is not null)
            throw new InstanceException("--ready and --ready-command exclude each other", ExitCode.Usage);
        InstanceConfig chosen = ChooseBoot(stored);
        return chosen with
        {
            Disks = Disks is null ? stored.Disks : DisksOver(stored, Disks),
            Initrd = Initrd is null ? chosen.Initrd : Initrd.Length == 0 ? null : Path.GetFullPath(Initrd),
            CommandLine = Append ?? stored.CommandLine,
            MemoryMiB = MemoryMiB ?? stored.MemoryMiB,
            Cpus = Cpus ?? stored.Cpus,
            ReadyPattern = Ready ?? stored.ReadyPattern,
            ReadyCommand = ReadyCommand ?? (Ready is null ? stored.ReadyCommand : null),
        };
    }

    /// <summary>A kernel given takes the place of stored firmware, and the other way round, with what belongs to it.</summary>
    private InstanceConfig ChooseBoot(InstanceConfig stored)
    {
        if (Kernel is not null && Firmware is not null)
            throw new InstanceException("--kernel and --firmware exclude each other", ExitCode.Usage);
        if (Kernel is not null) return stored with { Kernel = Path.GetFullPath(Kernel), Firmware = null };
        InstanceConfig chosen = Firmware is null
            ? stored
            : stored with { Firmware = FirmwareFile.Resolve(Firmware), Kernel = null, Initrd = null, CommandLine = "" };
        if (chosen.Firmware is not null && (Append is { Length: > 0 } || Initrd is { Length: > 0 }))
            throw new InstanceException("--append and --initrd are for --kernel; firmware reads the guest's own", ExitCode.Usage);
        return chosen;
    }

    /// <summary>Persistent disks may change. Named alone they take the places of those there are, and further ones follow.</summary>
    private static IReadOnlyList<DiskConfig> DisksOver(InstanceConfig stored, IReadOnlyList<DiskConfig> given)
    {
        DiskConfig[] system = [.. given.Where(disk => !disk.Persistent)], persistent = [.. given.Where(disk => disk.Persistent)];
        if (system.Length > 0) RequireSame(stored, system);
        if (system.Length > 0 && persistent.Length > 0) return given;
        Queue<DiskConfig> systems = new(system.Length > 0 ? system : stored.SystemDisks);
        Queue<DiskConfig> persistents = new(persistent.Length > 0 ? persistent : stored.PersistentDisks);
        List<DiskConfig> disks = [];
        foreach (DiskConfig place in stored.Disks)
            if ((place.Persistent ? persistents : systems).TryDequeue(out DiskConfig? disk)) disks.Add(disk);
        return [.. disks, .. persistents];
    }

    private static void RequireSame(InstanceConfig stored, IReadOnlyList<DiskConfig> system)
    {
        if (system.SequenceEqual(stored.SystemDisks)) return;
        throw new InstanceException(
            $"{stored.Name} exists with other system disks ({string.Join(", ", stored.SystemDisks.Select(disk => disk.Path))}); "
            + $"start it with these, or give up what it wrote: bgkvm delete {stored.Name}");
    }
}
