namespace Cloning.Isolation;

/// <summary>A mounted cgroup hierarchy and this process's place in it (cgroups(7)).</summary>
/// <param name="Version">1 or 2.</param>
/// <param name="Controllers">Version 1: the controllers that are mounted there. Version 2 hands its own down from group to group.</param>
/// <param name="Root">Where it is mounted.</param>
/// <param name="Own">The directory of this process's group.</param>
internal sealed record CgroupMount(int Version, IReadOnlyList<string> Controllers, string Root, string Own)
{
    /// <summary>The host's hierarchies, from /proc/self/mountinfo and /proc/self/cgroup.</summary>
    public static IReadOnlyList<CgroupMount> Find(IIsolationHost host)
    {
        string[] memberships = Lines(host.Read("/proc/self/cgroup"));
        List<CgroupMount> mounts = [];
        foreach (string line in Lines(host.Read("/proc/self/mountinfo")))
        {
            // "36 35 98:0 /root /mount/point options [optional]... - type source super-options" (proc_pid_mountinfo(5))
            string[] fields = line.Split(' ');
            int separator = Array.IndexOf(fields, "-");
            if (separator < 6 || fields.Length < separator + 4) continue;
            string type = fields[separator + 1];
            if (type is not ("cgroup" or "cgroup2")) continue;
            string[] controllers = type == "cgroup2" ? [] : fields[separator + 3].Split(',');
            string mountRoot = Unescape(fields[3]), mountPoint = Unescape(fields[4]);
            if (PathIn(memberships, controllers) is { } path)
                mounts.Add(new CgroupMount(type == "cgroup2" ? 2 : 1, controllers, mountPoint, Below(mountPoint, mountRoot, path)));
        }

        return mounts;
    }

    private static string[] Lines(string? text) => (text ?? "").Split('\n', StringSplitOptions.RemoveEmptyEntries);

    /// <summary>This process's path in the hierarchy with these controllers; in version 2 with none.</summary>
    private static string? PathIn(string[] memberships, string[] controllers)
    {
        foreach (string membership in memberships)
        {
            // "5:cpu,cpuacct:/user.slice", "0::/user.slice" (cgroups(7))
            string[] fields = membership.Split(':', 3);
            if (fields.Length < 3) continue;
            bool same = controllers.Length == 0 ? fields[0] == "0" : fields[1].Length > 0 && fields[1].Split(',').All(controllers.Contains);
            if (same) return fields[2];
        }

        return null;
    }

    /// <summary>A group's directory. What lies outside of what is mounted (a namespace's root, a bind mount) is seen as its root.</summary>
    private static string Below(string mountPoint, string mountRoot, string path)
    {
        string prefix = mountRoot == "/" ? "" : mountRoot;
        bool inside = path.StartsWith(prefix + "/", StringComparison.Ordinal) && !path.StartsWith("/..", StringComparison.Ordinal);
        return inside ? Path.TrimEndingDirectorySeparator(mountPoint + path[prefix.Length..]) : mountPoint;
    }

    /// <summary>The kernel writes blanks and backslashes in paths as octal numbers.</summary>
    private static string Unescape(string path) =>
        path.Replace("\\040", " ", StringComparison.Ordinal).Replace("\\011", "\t", StringComparison.Ordinal)
            .Replace("\\134", "\\", StringComparison.Ordinal);
}
