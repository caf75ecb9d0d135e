using System.Runtime.InteropServices;

namespace Vmm.HostCheck;

/// <summary>What the host says about itself. Nothing here decides anything: that takes a try.</summary>
/// <param name="CpuModel">"model name" in /proc/cpuinfo.</param>
/// <param name="CpuCount">CPUs this process may use.</param>
/// <param name="HardwareVirtualization">"vmx" (Intel VT-x), "svm" (AMD-V), or null where /proc/cpuinfo shows neither.</param>
/// <param name="Kernel">Release of the running kernel.</param>
/// <param name="MemoryTotalMiB">MemTotal, MiB.</param>
/// <param name="MemoryAvailableMiB">MemAvailable, MiB.</param>
/// <param name="SharedHugePages">The chosen transparent huge page policy for memfds ("never", "advise", …), or null.</param>
/// <param name="Cgroups">"v2", "v1", or null; with the controllers that idle scheduling uses (cpu, io or blkio).</param>
public sealed record HostFacts(
    string CpuModel,
    int CpuCount,
    string? HardwareVirtualization,
    string Kernel,
    long MemoryTotalMiB,
    long MemoryAvailableMiB,
    string? SharedHugePages,
    string? Cgroups)
{
    private static readonly string[] s_v1Controllers = ["cpu", "blkio"];

    /// <summary>Reads them. What cannot be read is left empty, never an error.</summary>
    /// <param name="root">Where proc and sys lie: the empty string, or a directory that stands in for the root.</param>
    public static HostFacts Read(string root = "")
    {
        (string model, string? flag) = ReadCpu($"{root}/proc/cpuinfo");
        (long total, long available) = ReadMemory($"{root}/proc/meminfo");
        return new HostFacts(
            model,
            Environment.ProcessorCount,
            flag,
            FirstLine($"{root}/proc/sys/kernel/osrelease") ?? RuntimeInformation.OSDescription,
            total,
            available,
            Chosen(FirstLine($"{root}/sys/kernel/mm/transparent_hugepage/shmem_enabled")),
            ReadCgroups($"{root}/sys/fs/cgroup"));
    }

    private static (string Model, string? Flag) ReadCpu(string path)
    {
        string model = "", flags = "";
        foreach (string line in Lines(path))
        {
            if (line.Length == 0) break; // the other CPUs are like the first
            string[] parts = line.Split(':', 2, StringSplitOptions.TrimEntries);
            if (parts is ["model name", _]) model = parts[1];
            if (parts is ["flags", _]) flags = parts[1];
        }

        string[] words = flags.Split(' ');
        return (model, words.Contains("vmx") ? "vmx" : words.Contains("svm") ? "svm" : null);
    }

    private static (long Total, long Available) ReadMemory(string path)
    {
        long total = 0, available = 0;
        foreach (string line in Lines(path))
        {
            string[] words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (words is ["MemTotal:", _, "kB"]) total = long.Parse(words[1]) / 1024;
            if (words is ["MemAvailable:", _, "kB"]) available = long.Parse(words[1]) / 1024;
        }

        return (total, available);
    }

    // "always within_size advise [never] deny force"
    private static string? Chosen(string? policies)
    {
        int start = policies?.IndexOf('[') ?? -1, end = policies?.IndexOf(']') ?? -1;
        return start >= 0 && end > start ? policies![(start + 1)..end] : null;
    }

    private static string? ReadCgroups(string path)
    {
        if (FirstLine($"{path}/cgroup.controllers") is string controllers)
            return Describe("v2", controllers.Split(' ').Where(c => c is "cpu" or "io"));
        string[] mounted = [.. s_v1Controllers.Where(c => Directory.Exists($"{path}/{c}"))];
        return mounted.Length > 0 ? Describe("v1", mounted) : null;
    }

    private static string Describe(string version, IEnumerable<string> controllers) =>
        $"{version} ({string.Join(", ", controllers)})";

    private static string? FirstLine(string path) => Lines(path).FirstOrDefault();

    private static string[] Lines(string path)
    {
        try
        {
            return File.ReadAllLines(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }
}
