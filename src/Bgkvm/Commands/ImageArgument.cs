using VirtioBlk.Store;

namespace Bgkvm.Commands;

/// <summary>A disk image as the command line names it: <c>PATH[,format=raw|qcow2]</c>; a comma in the path is doubled.</summary>
/// <param name="Path">Absolute.</param>
/// <param name="Format">Raw unless said otherwise.</param>
internal sealed record ImageArgument(string Path, DiskFormat Format)
{
    /// <summary>How help texts call it.</summary>
    public const string Form = "PATH[,format=raw|qcow2]";

    /// <summary>Reads one.</summary>
    /// <param name="text">What the user wrote.</param>
    /// <param name="error">What is wrong with it, or null.</param>
    public static ImageArgument? Parse(string text, out string? error)
    {
        // The same words as for a disk of a virtual machine, less those that make no sense here.
        Cloning.Instances.DiskConfig? disk = DiskArgument.Parse(text, persistent: false, out error);
        if (disk is null) return null;
        if (disk.ReadOnly)
        {
            error = $"'{text}': of an image only the format can be told, format=raw or format=qcow2";
            return null;
        }

        return new ImageArgument(disk.Path, DiskFormats.Parse(disk.Format)!.Value);
    }
}
