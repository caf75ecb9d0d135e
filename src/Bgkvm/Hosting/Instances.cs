using Cloning.Instances;

namespace Bgkvm.Hosting;

/// <summary>Finds instances by name.</summary>
internal static class Instances
{
    /// <summary>The names of all, sorted.</summary>
    public static IReadOnlyList<string> Names() =>
        !Directory.Exists(InstanceDirectory.Home) ? []
        : [.. Directory.EnumerateDirectories(InstanceDirectory.Home)
            .Where(path => File.Exists(new InstanceDirectory(path).Config))
            .Select(path => Path.GetFileName(path)!)
            .Order(StringComparer.Ordinal)];

    /// <summary>One that exists, running or not.</summary>
    /// <exception cref="InstanceException">There is none of that name.</exception>
    public static InstanceDirectory Find(string name)
    {
        InstanceDirectory directory = InstanceDirectory.Of(name);
        return File.Exists(directory.Config) ? directory
            : throw new InstanceException($"there is no instance {name} in {InstanceDirectory.Home}", ExitCode.NoSuchInstance);
    }

    /// <summary>One that runs.</summary>
    /// <exception cref="InstanceException">There is none of that name, or it is stopped.</exception>
    public static InstanceDirectory FindRunning(string name)
    {
        InstanceDirectory directory = Find(name);
        return InstanceLock.IsHeld(directory) ? directory
            : throw new InstanceException($"{name} is not running; start it with bgkvm start {name}");
    }
}
