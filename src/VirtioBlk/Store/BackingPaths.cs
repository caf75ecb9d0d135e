namespace VirtioBlk.Store;

/// <summary>
/// Names of backing files in image headers. QEMU takes what stands before a colon for a protocol, unless a slash comes
/// first.
/// </summary>
internal static class BackingPaths
{
    /// <summary>The name to write for a path, so that QEMU too takes it for one.</summary>
    public static string ForHeader(string path) => HasProtocol(path) ? "./" + path : path;

    /// <summary>The file a name means.</summary>
    /// <param name="image">Path of the image that has it in its header.</param>
    /// <param name="name">The name.</param>
    /// <exception cref="DiskException">It is not a path.</exception>
    public static string Resolve(string image, string name)
    {
        if (HasProtocol(name) || name.Contains('\0', StringComparison.Ordinal))
            throw new DiskException(image,
                $"has a backing file that is not named by a path: {DiskException.Printable(name)}");
        return Path.Combine(Path.GetDirectoryName(Path.GetFullPath(image)) ?? "/", name);
    }

    /// <summary>The name of a file for the header of one image, relative if it is relative in another's.</summary>
    /// <param name="path">The file.</param>
    /// <param name="model">The image that names it now.</param>
    /// <param name="image">The image that is to name it.</param>
    public static string Name(string path, Qcow2Image model, Qcow2Image image)
    {
        string full = Path.GetFullPath(path);
        bool isRelative = model.BackingName is { } name
            && !Path.IsPathRooted(name)
            && Path.GetFullPath(Resolve(model.Path, name)) == full;
        if (!isRelative) return full;
        return Path.GetRelativePath(Path.GetDirectoryName(Path.GetFullPath(image.Path)) ?? "/", full);
    }

    private static bool HasProtocol(string name) =>
        name.AsSpan().IndexOfAny(':', '/') is >= 0 and var first && name[first] == ':';
}
