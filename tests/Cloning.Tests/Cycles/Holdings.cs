using Cloning.Instances;
using Cloning.Isolation;

namespace Cloning.Tests.Cycles;

/// <summary>
/// What a process and its instance hold at one moment. Assemblies do not count: the runtime loads them when it comes to need them, and keeps
/// two descriptors of each.
/// </summary>
internal sealed record Holdings(
    int Cycle, long ResidentKiB, long HeapKiB, int Descriptors, int Threads, int Mappings, int Files, int ChainDepth, int Cgroups,
    int Children, long CloneMicros, long SwitchMicros, long TotalMillis)
{
    public static Holdings Now(int cycle, TestInstance guest, RebootReport report) => new(
        cycle,
        // proc_pid_status(5): guest memory, a memfd, counts as shared memory and not here.
        long.Parse(File.ReadLines("/proc/self/status").First(line => line.StartsWith("RssAnon:", StringComparison.Ordinal)).Split(' ')[^2]),
        GC.GetTotalMemory(forceFullCollection: true) >> 10,
        new DirectoryInfo("/proc/self/fd").EnumerateFileSystemInfos().Count(
            fd => fd.LinkTarget?.EndsWith(".dll", StringComparison.Ordinal) != true),
        Directory.EnumerateDirectories("/proc/self/task").Count(),
        File.ReadLines("/proc/self/maps").Count(line => line.Contains("memfd:bgkvm-", StringComparison.Ordinal)
            || line.Contains("kvm-vcpu", StringComparison.Ordinal)),
        Directory.EnumerateFiles(guest.Files.Path, "*", SearchOption.AllDirectories).Count(),
        guest.Instance.Status().ChainDepth,
        ShadowGroups.Find(new IsolationHost(), "bgkvm-tiny-*").Count(),
        File.ReadAllText($"/proc/self/task/{Environment.ProcessId}/children").Split(' ', StringSplitOptions.RemoveEmptyEntries).Length,
        report.CloneMicros, report.SwitchMicros, report.TotalMillis);
}
