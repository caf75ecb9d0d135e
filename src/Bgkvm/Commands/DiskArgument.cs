using Cloning.Instances;

namespace Bgkvm.Commands;

/// <summary>A disk as the command line names it: <c>PATH[,format=raw|qcow2][,ro]</c>; a comma in the path is doubled.</summary>
internal static class DiskArgument
{
    /// <summary>Reads one.</summary>
    /// <param name="text">What the user wrote.</param>
    /// <param name="error">What is wrong with it, or null.</param>
    public static DiskConfig? Parse(string text, out string? error)
    {
        string[] parts = text.Replace(",,", "\0", StringComparison.Ordinal).Split(',');
        string path = parts[0].Replace('\0', ',');
        // Raw unless said otherwise, and never probed: a guest could write a qcow2 header onto its raw disk.
        string format = "raw";
        bool readOnly = false;
        error = path.Length == 0 ? $"'{text}' names no disk" : null;
        foreach (string part in parts.AsSpan(1))
        {
            switch (part)
            {
                case "format=raw" or "format=qcow2":
                    format = part["format=".Length..];
                    break;
                case "ro":
                    readOnly = true;
                    break;
                default:
                    error ??= $"'{part}' is no disk option; there are format=raw, format=qcow2 and ro";
                    break;
            }
        }

        return error is null ? new DiskConfig(Path.GetFullPath(path), format, readOnly) : null;
    }
}
