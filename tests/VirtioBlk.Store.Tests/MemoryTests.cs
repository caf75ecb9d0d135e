namespace VirtioBlk.Store.Tests;

/// <summary>By itself: what the whole process holds is counted, so no other test may run meanwhile.</summary>
[Collection(nameof(MemoryTests))]
[CollectionDefinition(nameof(MemoryTests), DisableParallelization = true)]
public sealed class MemoryTests : IDisposable
{
    private const long DiskBytes = 1L << 40;
    private const long ClusterBytes = 65536;

    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    /// <summary>
    /// A chain as deep as background reboots leave it, each layer used all over the disk: its tables are 128 MiB.
    /// </summary>
    [Fact]
    public void The_metadata_of_a_disk_of_1_TiB_takes_at_most_32_MiB()
    {
        string? below = null;
        for (int layer = 0; layer < 3; layer++)
        {
            Qcow2Image.Create(_folder[$"{layer}"], DiskBytes, below, below is null ? null : DiskFormat.Qcow2);
            below = $"{layer}";
        }

        long before = GC.GetTotalMemory(forceFullCollection: true);
        using IDiskLayer disk = DiskChain.Open(_folder["2"], DiskFormat.Qcow2, readOnly: false);
        IBlockBackend?[] layers = [disk, ((Qcow2Image)disk).Backing, ((Qcow2Image)((Qcow2Image)disk).Backing!).Backing];
        foreach (IDiskLayer? layer in layers.Reverse().Cast<IDiskLayer?>())
        {
            if (layer != disk) layer!.Thaw();
            for (long offset = 0; offset < DiskBytes; offset += 96 << 20)
                layer!.WriteZeroes(offset, ClusterBytes, mayUnmap: true);
            for (long offset = 48 << 20; offset < DiskBytes; offset += 256 << 20) layer!.WritePattern(offset, 65536, 1);
            layer!.Flush();
        }

        for (long offset = 0; offset < DiskBytes; offset += 32 << 20) disk.ReadBytes(offset, 512);
        long taken = GC.GetTotalMemory(forceFullCollection: true) - before;
        Assert.InRange(taken, 8 << 20, 32 << 20);
        disk.Flush();
        Qemu.AssertClean(_folder["2"]);
    }
}
