namespace VirtioBlk.Store;

/// <summary>The names of <see cref="DiskFormat"/> as qcow2 headers, manifests and command lines write them.</summary>
public static class DiskFormats
{
    /// <summary>The name, <c>raw</c> or <c>qcow2</c>.</summary>
    public static string Name(this DiskFormat format) => format switch
    {
        DiskFormat.Raw => "raw",
        DiskFormat.Qcow2 => "qcow2",
        _ => throw new ArgumentOutOfRangeException(nameof(format)),
    };

    /// <summary>The format with that name, or null.</summary>
    public static DiskFormat? Parse(string name) => name switch
    {
        "raw" => DiskFormat.Raw,
        "qcow2" => DiskFormat.Qcow2,
        _ => null,
    };
}
