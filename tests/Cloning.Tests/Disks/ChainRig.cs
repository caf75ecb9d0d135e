using Cloning.Disks;
using Cloning.Instances;
using Kvm.Interop;
using Xunit;

namespace Cloning.Tests.Disks;

/// <summary>A system disk's chain in an instance directory, without an instance.</summary>
internal sealed class ChainRig : IDiskChains, IDisposable
{
    public const int DiskBytes = 48 << 20;

    private readonly ManifestFile _file;

    private ChainRig(InstanceDirectory directory, DiskManifest manifest)
    {
        Directory = directory;
        Manifest = manifest;
        _file = new ManifestFile(directory);
        Disks = [SystemDisk.Open(directory.Layers, manifest.Chains[0])];
    }

    public InstanceDirectory Directory { get; }
    public SystemDisk[] Disks { get; private set; }
    public DiskManifest Manifest { get; private set; }
    public SystemDisk Disk => Disks[0];

    /// <summary>Whether the host refuses to replace the manifest by one with so many layers: simulated.</summary>
    public Predicate<int>? RefusesManifest { get; set; }

    /// <summary>Makes a chain of two: a raw base, an empty overlay.</summary>
    public static ChainRig Create(string folder)
    {
        InstanceDirectory directory = new(folder);
        System.IO.Directory.CreateDirectory(directory.Layers);
        string path = Path.Combine(folder, "base.img");
        using (FileStream file = File.Create(path)) file.SetLength(DiskBytes);
        Layer[] below = [new(path, "raw")];
        Layer overlay = new("disk0-000001-instance.qcow2", "qcow2");
        SystemDisk.CreateOverlay(directory.Layers, below, overlay, DiskBytes);
        DiskManifest manifest = new(DiskManifest.CurrentVersion, 2, [[.. below, overlay]]);
        new ManifestFile(directory).Replace(manifest);
        return new ChainRig(directory, manifest);
    }

    /// <summary>Opens what is there, as an instance does at its start.</summary>
    public static ChainRig Open(string folder)
    {
        InstanceDirectory directory = new(folder);
        DiskManifest manifest = new ManifestFile(directory).Read();
        Overlays.DeleteStrays(directory, manifest);
        return new ChainRig(directory, manifest);
    }

    /// <summary>What a fork does to a chain: the top is frozen and gets an overlay.</summary>
    public void AddLayer()
    {
        DiskManifest next = Overlays.Create(Directory, Manifest, Disks, "instance");
        SystemDisk[] opened = Overlays.Open(Directory, Disks, next);
        Disk.Freeze();
        opened[0].FlushBelowTop();
        _file.Replace(next);
        (Disks, Manifest) = (opened, next);
    }

    public void Keep(KeptDisk kept)
    {
        Manifest = Manifest with { Kept = [kept] };
        _file.Replace(Manifest);
    }

    public void Settle()
    {
        // Whatever replaces the manifest here makes it durable, or throws.
    }

    public void Release(KeptDisk kept)
    {
        Manifest = Manifest with { Kept = null };
        _file.Replace(Manifest);
    }

    public void Shorten(int index, SystemDisk disk)
    {
        if (RefusesManifest?.Invoke(disk.Layers.Count) == true) throw new IOException("simulated: the manifest cannot be replaced");
        DiskManifest next = Manifest with { Chains = [disk.Layers] };
        _file.Replace(next);
        (Disks, Manifest) = ([disk], next);
    }

    public unsafe byte[] ReadAll()
    {
        byte[] bytes = new byte[DiskBytes];
        // SAFETY: pinned during the call and as long as told.
        fixed (byte* at = bytes) Disk.Device.Read([new IoVec((nint)at, (nuint)bytes.Length)], 0);
        return bytes;
    }

    /// <summary>qemu-img finds nothing worse than leaks in any layer, and reads what we read.</summary>
    public static void AssertSound(string folder, byte[] content)
    {
        InstanceDirectory directory = new(folder);
        foreach (string layer in System.IO.Directory.EnumerateFiles(directory.Layers))
        {
            (int status, string output) = Tool.Run("qemu-img", "check", "-f", "qcow2", layer);
            Assert.True(status is 0 or 3, $"{layer}: {output}");
        }

        string raw = Path.Combine(folder, "flat.raw");
        string top = Path.Combine(directory.Layers, new ManifestFile(directory).Read().Chains[0][^1].Path);
        (int converted, string said) = Tool.Run("qemu-img", "convert", "-f", "qcow2", "-O", "raw", top, raw);
        Assert.True(converted == 0, said);
        Assert.True(content.AsSpan().SequenceEqual(File.ReadAllBytes(raw)), "qemu-img reads another disk");
        File.Delete(raw);
    }

    public void Dispose() => Disk.Close();
}
