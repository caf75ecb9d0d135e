using Kvm.Interop;
using VirtioBlk.Store;

namespace Bgkvm.Commands;

/// <summary>A layer of a disk.</summary>
/// <param name="Path">Its file.</param>
/// <param name="Format"><c>raw</c> or <c>qcow2</c>.</param>
/// <param name="SizeBytes">The disk's size as this layer has it.</param>
/// <param name="HostBytes">Space its file takes on the host.</param>
/// <param name="AllocatedBytes">qcow2: guest data that it holds itself, in whole clusters.</param>
/// <param name="ClusterBytes">qcow2: the unit of allocation.</param>
/// <param name="Backing">qcow2: the next layer's name as it stands in the image, or null.</param>
/// <param name="BackingFormat">Its format as it stands in the image, or null.</param>
internal sealed record DiskLayerInfo(
    string Path,
    string Format,
    long SizeBytes,
    long HostBytes,
    long? AllocatedBytes,
    int? ClusterBytes,
    string? Backing,
    string? BackingFormat)
{
    /// <summary>Looks at a layer that is open.</summary>
    public static DiskLayerInfo Of(IDiskLayer layer)
    {
        Qcow2Image? image = layer as Qcow2Image;
        return new DiskLayerInfo(
            layer.Path, layer.Format.Name(), layer.LengthBytes, HostSpace(layer.Path),
            image?.AllocatedBytes, image?.ClusterBytes, image?.BackingName, image?.BackingFormat);
    }

    private static unsafe long HostSpace(string path)
    {
        const int AtFdCwd = -100;
        StatX status;
        // SAFETY: statx fills the struct, which has the kernel's size.
        return Libc.statx(AtFdCwd, path, 0, Libc.STATX_BASIC_STATS, &status) == 0
            ? (long)status.Blocks * 512
            : throw LibcException.FromLastError("statx", path);
    }
}
