namespace Disk;

/// <summary>What a request meets.</summary>
internal enum DiskKind
{
    /// <summary>A raw file.</summary>
    Raw,

    /// <summary>A qcow2 overlay over a raw base, where the overlay has the clusters.</summary>
    Allocated,

    /// <summary>The same overlay, where it has not: reads come from the base, writes copy the rest of the cluster.</summary>
    Unallocated,
}

/// <summary>Names of disks.</summary>
internal static class DiskKinds
{
    /// <summary>In tables.</summary>
    public static string Title(this DiskKind kind) => kind switch
    {
        DiskKind.Raw => "raw",
        DiskKind.Allocated => "overlay, allocated",
        _ => "overlay, unallocated",
    };

    /// <summary>The serial by which the guest finds the disk.</summary>
    public static string Serial(this DiskKind kind) => kind == DiskKind.Raw ? "persistent0" : "system1";
}
