using Vmm.HostCheck;
using Xunit;

namespace Vmm.Tests.HostCheck;

public sealed class HostFactsTests
{
    [Fact]
    public void This_host_has_a_cpu_memory_and_a_kernel()
    {
        HostFacts facts = HostFacts.Read();
        Assert.NotEmpty(facts.CpuModel);
        Assert.NotEmpty(facts.Kernel);
        Assert.InRange(facts.MemoryAvailableMiB, 1, facts.MemoryTotalMiB);
    }

    [Theory]
    [InlineData("fpu vmx sse", "vmx")]
    [InlineData("fpu svm sse", "svm")]
    [InlineData("fpu svm_lock vmxnet sse", null)]
    public void Virtualization_is_a_word_among_the_flags(string flags, string? expected)
    {
        using TempDirectory root = new();
        Write(root, "proc/cpuinfo", $"processor\t: 0\nmodel name\t: A CPU: the best\nflags\t\t: {flags}\n\nprocessor\t: 1\nflags\t\t: none\n");
        HostFacts facts = HostFacts.Read(root.Path);
        Assert.Equal(("A CPU: the best", expected), (facts.CpuModel, facts.HardwareVirtualization));
    }

    [Fact]
    public void Memory_is_in_mebibytes()
    {
        using TempDirectory root = new();
        Write(root, "proc/meminfo", "MemTotal:        2097152 kB\nMemFree:  1 kB\nMemAvailable:    1048576 kB\n");
        HostFacts facts = HostFacts.Read(root.Path);
        Assert.Equal((2048, 1024), (facts.MemoryTotalMiB, facts.MemoryAvailableMiB));
    }

    [Fact]
    public void Cgroups_are_told_apart()
    {
        using TempDirectory two = new(), one = new();
        Write(two, "sys/fs/cgroup/cgroup.controllers", "cpuset cpu io memory pids\n");
        Write(one, "sys/fs/cgroup/cpu/tasks", "");
        Write(one, "sys/fs/cgroup/memory/tasks", "");
        Assert.Equal("v2 (cpu, io)", HostFacts.Read(two.Path).Cgroups);
        Assert.Equal("v1 (cpu)", HostFacts.Read(one.Path).Cgroups);
    }

    [Fact]
    public void What_cannot_be_read_is_empty()
    {
        using TempDirectory root = new();
        HostFacts facts = HostFacts.Read(root.Path);
        Assert.Equal(("", null, 0, 0, null, null),
            (facts.CpuModel, facts.HardwareVirtualization, facts.MemoryTotalMiB, facts.MemoryAvailableMiB, facts.SharedHugePages, facts.Cgroups));
    }

    private static void Write(TempDirectory root, string path, string text)
    {
        string full = System.IO.Path.Combine(root.Path, path);
        Directory.CreateDirectory(System.IO.Path.GetDirectoryName(full)!);
        File.WriteAllText(full, text);
    }
}
