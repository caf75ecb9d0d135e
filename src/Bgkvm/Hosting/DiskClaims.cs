using Cloning.Instances;
using Kvm.Interop;
using VirtioBlk.Store;

namespace Bgkvm.Hosting;

/// <summary>
/// What the instances of this home, stopped ones too, have taken files for. A system disk, with every layer under it, must never
/// change: what an instance has written is on top of it. A persistent disk is written. So no file may be both.
/// </summary>
internal static class DiskClaims
{
    /// <summary>Checks an instance's disks against each other and against those of all others.</summary>
    /// <exception cref="InstanceException">A file is a persistent disk here and a system disk there, or the other way round.</exception>
    public static void Check(InstanceConfig config)
    {
        Dictionary<(uint, uint, ulong), Claim> claims = [];
        foreach (Claim claim in Of(config))
        {
            RefuseIfBoth(claim, claims, config.Name);
            claims[claim.File] = claim;
        }

        foreach (string other in Instances.Names().Where(name => name != config.Name))
        {
            if (TryRead(other) is not { } theirs) continue;
            foreach (Claim claim in Of(theirs)) RefuseIfBoth(claim, claims, config.Name);
        }

        static void RefuseIfBoth(Claim claim, Dictionary<(uint, uint, ulong), Claim> mine, string name)
        {
            if (!mine.TryGetValue(claim.File, out Claim? own) || own.IsPersistent == claim.IsPersistent) return;
            throw new InstanceException(own.IsPersistent
                ? $"{own.Path} cannot be a persistent disk of {name}: a system disk of {claim.Instance} is based on it"
                : $"{own.Path} cannot be under a system disk of {name}: it is a persistent disk of {claim.Instance}");
        }
    }

    private static InstanceConfig? TryRead(string name)
    {
        try
        {
            return ConfigFile.Read(InstanceDirectory.Of(name));
        }
        catch (Exception e) when (e is InstanceException or IOException)
        {
            return null; // being made or deleted just now, or damaged: its own start will tell
        }
    }

    private static IEnumerable<Claim> Of(InstanceConfig config)
    {
        foreach (DiskConfig disk in config.Disks)
        {
            foreach (string path in disk.Persistent ? new List<string> { disk.Path } : Layers(disk))
                if (Identify(path) is { } file) yield return new Claim(file, path, config.Name, disk.Persistent);
        }
    }

    private static List<string> Layers(DiskConfig disk)
    {
        List<string> paths = [disk.Path];
        if (disk.Format != "qcow2") return paths;
        try
        {
            using IDiskLayer top = DiskChain.Open(disk.Path, DiskFormat.Qcow2, readOnly: true);
            for (IDiskLayer? layer = (top as Qcow2Image)?.Backing as IDiskLayer; layer is not null; layer = (layer as Qcow2Image)?.Backing as IDiskLayer)
                paths.Add(layer.Path);
        }
        catch (IOException)
        {
            // It cannot be opened: a start of its instance fails for that reason, and it claims nothing but itself.
        }

        return paths;
    }

    private static unsafe (uint, uint, ulong)? Identify(string path)
    {
        const int AtFdCwd = -100;
        StatX status;
        // SAFETY: statx fills the struct, which has the kernel's size.
        if (Libc.statx(AtFdCwd, path, 0, Libc.STATX_BASIC_STATS, &status) != 0) return null;
        // A block device is the same whatever node it is opened by.
        return (status.Mode & StatX.TypeMask) == StatX.BlockDevice
            ? (status.NodeMajor, status.NodeMinor, ulong.MaxValue)
            : (status.DeviceMajor, status.DeviceMinor, status.Inode);
    }

    private sealed record Claim((uint, uint, ulong) File, string Path, string Instance, bool IsPersistent);
}
