using Cloning.Instances;

namespace Bgkvm.Commands;

/// <summary>
/// A disk as the command line names it: <c>PATH[,format=raw|qcow2][,ro]</c>, a persistent one <c>PATH[,cache=none|writeback]</c>; a
/// comma in the path is doubled.
/// </summary>
internal static class DiskArgument
{
    /// <summary>Reads one.</summary>
    /// <param name="text">What the user wrote.</param>
    /// <param name="persistent">Which kind.</param>
    /// <param name="error">What is wrong with it, or null.</param>
    public static DiskConfig? Parse(string text, bool persistent, out string? error)
    {
        string[] parts = text.Replace(",,", "\0", StringComparison.Ordinal).Split(',');
        string path = parts[0].Replace('\0', ',');
        // Raw unless said otherwise, and never probed: a guest could write a qcow2 header onto its raw disk.
        DiskConfig disk = new(path, "raw", ReadOnly: false, persistent);
        error = path.Length == 0 ? $"'{text}' names no disk" : null;
        foreach (string part in parts.AsSpan(1))
        {
            switch (part)
            {
                case "format=raw":
                    break;
                case "format=qcow2" when !persistent:
                    disk = disk with { Format = "qcow2" };
                    break;
                case "ro" when !persistent:
                    disk = disk with { ReadOnly = true };
                    break;
                case "cache=none" or "cache=writeback" when persistent:
                    disk = disk with { Direct = part == "cache=none" };
                    break;
                default:
                    error ??= persistent
                        ? $"'{part}' is no option of a persistent disk; there are cache=none and cache=writeback"
                        : $"'{part}' is no disk option; there are format=raw, format=qcow2 and ro";
                    break;
            }
        }

        return error is null ? disk with { Path = Path.GetFullPath(path) } : null;
    }
}
