namespace VirtioBlk.Store;

/// <summary>
/// Opens a disk with everything under it. Formats are told, by the caller or by the image above, never guessed.
/// </summary>
public static class DiskChain
{
    /// <summary>Most layers of a chain.</summary>
    public const int MaxDepth = 32;

    /// <summary>
    /// Opens a disk and the backing files that the images name. Those are opened for reading and locked as shared.
    /// </summary>
    /// <param name="path">The top layer.</param>
    /// <param name="format">Its format.</param>
    /// <param name="readOnly">Whether the top layer refuses writes.</param>
    /// <returns>The top layer, which owns the others.</returns>
    /// <exception cref="DiskException">
    /// A layer cannot be opened, or does not say all it must about the one under it.
    /// </exception>
    public static IDiskLayer Open(string path, DiskFormat format, bool readOnly) => Open(path, format, readOnly, []);

    private static IDiskLayer Open(string path, DiskFormat format, bool readOnly, List<string> above)
    {
        string full = Path.GetFullPath(path);
        if (above.Contains(full)) throw new DiskException(path, "is its own backing file: the chain is a loop");
        if (above.Count == MaxDepth) throw new DiskException(above[0], $"has more than {MaxDepth} layers");
        if (format == DiskFormat.Raw) return RawDisk.Open(path, readOnly);

        Qcow2Image image = Qcow2Image.Open(path, readOnly);
        try
        {
            if (image.BackingName is { } name)
            {
                above.Add(full);
                image.Attach(Open(BackingPaths.Resolve(path, name), BackingFormat(image), readOnly: true, above));
            }

            return image;
        }
        catch
        {
            image.Dispose();
            throw;
        }
    }

    private static DiskFormat BackingFormat(Qcow2Image image) => image.BackingFormat switch
    {
        null => throw new DiskException(image.Path,
            "does not say which format its backing file has; set it with: qemu-img rebase -u -F"),
        { } name => DiskFormats.Parse(name)
            ?? throw new DiskException(image.Path,
                $"has a backing file of format \"{DiskException.Printable(name)}\", which is not supported"),
    };
}
