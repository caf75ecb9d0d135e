using System.Globalization;

namespace Cloning.Isolation;

/// <summary>
/// The shadow's cgroups, one in each hierarchy that has a controller for it. In version 1 that is a child of the instance's own
/// group. In version 2 a group that has processes hands nothing down, so it is a child of the nearest group above that does.
/// </summary>
/// <remarks>
/// Nothing is changed in groups that are not the shadow's: who hands down which controller is for systemd, or whoever else
/// manages the tree, to say.
/// </remarks>
internal sealed class ShadowGroups : IDisposable
{
    private static readonly string[] s_controllers = ["cpu", "io", "memory"];

    private readonly IIsolationHost _host;
    private readonly Dictionary<string, string> _path = []; // by controller
    private readonly Dictionary<string, string> _problem = []; // by controller
    private string? _unified; // the one of version 2

    private ShadowGroups(IIsolationHost host) => _host = host;

    /// <summary>Makes what this host lets be made, and moves the shadow there.</summary>
    public static ShadowGroups Join(IIsolationHost host, string instance, int pid)
    {
        ShadowGroups groups = new(host);
        IReadOnlyList<CgroupMount> mounts = CgroupMount.Find(host);
        foreach (string controller in s_controllers) groups.Join(mounts, controller, Name(instance, Text(pid)), pid);
        return groups;
    }

    /// <summary>Removes the groups of shadows that were killed together with their instance.</summary>
    /// <remarks>A shadow cannot remove its own: the kernel's worker for its VM is in there until the process is gone.</remarks>
    /// <param name="host">The host.</param>
    /// <param name="instance">The instance's name. A group that still has a process in it stays.</param>
    public static void Sweep(IIsolationHost host, string instance)
    {
        foreach (string left in Find(host, Name(instance, "*"))) host.RemoveDirectory(left);
    }

    /// <summary>Groups of that name, wherever this process could have made them.</summary>
    public static IEnumerable<string> Find(IIsolationHost host, string pattern) =>
        [.. CgroupMount.Find(host).SelectMany(Places).SelectMany(place => host.Directories(place, pattern)).Distinct()];

    /// <summary>The file of a controller's group, if there is one.</summary>
    /// <param name="controller">cpu, io or memory.</param>
    /// <param name="file">Its name in version 2 or version 1, which differ.</param>
    public string? FileOf(string controller, string file) =>
        _path.TryGetValue(controller, out string? path) && _host.Exists(Path.Combine(path, file)) ? Path.Combine(path, file) : null;

    /// <summary>Why a controller is of no use here.</summary>
    public string Problem(string controller) => _path.TryGetValue(controller, out string? path)
        ? $"{path} does not have it: the controller is not handed down, or the kernel is without it"
        : _problem.GetValueOrDefault(controller, $"no cgroup hierarchy with the {controller} controller is mounted");

    /// <summary>Removes the groups. The shadow is gone by then.</summary>
    public void Dispose()
    {
        foreach (string path in _path.Values.Distinct()) _host.RemoveDirectory(path);
    }

    private static string Name(string instance, string pid) => $"bgkvm-{instance}-shadow-{pid}";

    private static string Text(int pid) => pid.ToString(CultureInfo.InvariantCulture);

    private static IEnumerable<string> Places(CgroupMount mount)
    {
        string place = mount.Own;
        yield return place;
        while (mount.Version == 2 && place.Length > mount.Root.Length)
        {
            place = Path.GetDirectoryName(place)!;
            yield return place;
        }
    }

    private void Join(IReadOnlyList<CgroupMount> mounts, string controller, string name, int pid)
    {
        string old = controller == "io" ? "blkio" : controller;
        CgroupMount? mount = mounts.FirstOrDefault(m => m.Controllers.Contains(old));
        if (mount is not null && controller == "memory")
        {
            _problem[controller] = "cgroup version 1 cannot slow a group down for its memory";
            return;
        }

        mount ??= mounts.FirstOrDefault(m => m.Version == 2);
        if (mount is null) return;
        if (mount.Version == 2 && _unified is not null)
        {
            _path[controller] = _unified; // a process is in one group of a hierarchy: what is not handed down to it is missing
            return;
        }

        _problem[controller] = $"no group above {mount.Own} hands the {controller} controller down";
        foreach (string place in Places(mount))
        {
            if (mount.Version == 2 && !Words(Path.Combine(place, "cgroup.subtree_control")).Contains(controller)) continue;
            string path = Path.Combine(place, name);
            if (!TryMake(path, pid, controller)) continue;
            _path[controller] = path;
            if (mount.Version == 2) _unified = path;
            return;
        }
    }

    private bool TryMake(string path, int pid, string controller)
    {
        string? problem = _host.MakeDirectory(path) ?? _host.Write(Path.Combine(path, "cgroup.procs"), Text(pid));
        if (problem is null) return true;
        _host.RemoveDirectory(path);
        _problem[controller] = problem;
        return false;
    }

    private string[] Words(string path) => (_host.Read(path) ?? "").Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
}
