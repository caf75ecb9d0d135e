using System.Globalization;
using Cloning.Instances;

namespace Cloning.Fork;

/// <summary>Counts what a background reboot may come to need before it pauses anything.</summary>
internal static class HostResources
{
    private const long LayerHeadroomBytes = 64L << 20;

    /// <summary>Refuses where the host lacks memory or disk space.</summary>
    /// <exception cref="InstanceException">Says how much is missing.</exception>
    public static void Require(InstanceConfig config, InstanceDirectory directory)
    {
        // Beside the frozen file, which exists already: each page at most once more for the instance's copies, and once more
        // for the shadow's (which it gives back before the new OS fills the new file).
        long need = 2L * config.MemoryMiB << 20;
        long available = AvailableMemory();
        if (available < need)
        {
            throw new InstanceException(
                $"a background reboot of {config.Name} may need {need >> 20} MiB more memory; the host has {available >> 20} MiB available",
                exitCode: 4);
        }

        long free = new DriveInfo(directory.Layers).AvailableFreeSpace;
        if (free < LayerHeadroomBytes)
            throw new InstanceException($"no space for overlays: {free >> 20} MiB free in {directory.Layers}", exitCode: 4);
    }

    private static long AvailableMemory()
    {
        long kilobytes = 0;
        foreach (string line in File.ReadLines("/proc/meminfo"))
        {
            if (!line.StartsWith("MemAvailable:", StringComparison.Ordinal) && !line.StartsWith("SwapFree:", StringComparison.Ordinal))
                continue;
            kilobytes += long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture);
        }

        return kilobytes << 10;
    }
}
