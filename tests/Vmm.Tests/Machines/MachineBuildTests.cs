using CowMemory;
using Kvm.Interop;
using TestKit;
using TestKit.Disks;
using Vmm.Machines;
using Xunit;

namespace Vmm.Tests.Machines;

/// <summary>
/// A machine that the host does not let be built to its end leaves nothing behind. By itself: what the whole process holds is counted.
/// </summary>
[Collection(nameof(MachineBuildTests))]
[CollectionDefinition(nameof(MachineBuildTests), DisableParallelization = true)]
public sealed class MachineBuildTests : IDisposable
{
    private const int Cpus = 2;
    private static readonly string[] s_own = ["blk0-", "vcpu"], s_parts = ["eventfd", "kvm-", "memfd:build"];

    private readonly KvmHost _host = KvmHost.Open();

    public MachineBuildTests() => Build().Dispose(); // first calls open and start other things

    public void Dispose() => _host.Dispose();

    [Fact]
    public void Out_of_threads()
    {
        int failed = CountFailures(HostLimits.Threads, 0);
        Assert.Equal(2 + Cpus + Cpus, failed); // a mover, a flusher, a thread a queue and a thread a vCPU
    }

    [Fact]
    public void Out_of_descriptors()
    {
        int free = Enumerable.Range(0, int.MaxValue).Except(Open().Select(static open => open.Number)).First();
        int failed = CountFailures(HostLimits.Descriptors, free);
        Assert.True(failed > 3 + Cpus, $"Only {failed} of its descriptors were refused"); // memory and VM, lines, queues, vCPUs
    }

    /// <summary>Builds machines under a limit that is higher each time, until one can be built.</summary>
    private int CountFailures(Action<int, Action> under, int limit)
    {
        for (int failed = 0; ; failed++)
        {
            string[] before = Descriptors();
            Exception? refused = null;
            MemoryFile file = MemoryFile.Create("build", 1 << 20);
            under(limit + failed, () =>
            {
                try
                {
                    Build(file).Dispose();
                }
                catch (Exception e)
                {
                    refused = e;
                }
            });
            Assert.Equal(before, Descriptors());
            Assert.Equal(0, Threads());
            if (refused is null) return failed;
            Assert.True(refused is LibcException or OutOfMemoryException, $"{refused}"); // the runtime opens files to start a thread
        }
    }

    private Machine Build(MemoryFile? file = null) => new(
        _host,
        new MachineSpec(Cpus, [new DiskSlot(new MemoryDisk(512), "d")], new NoConsole()),
        file ?? MemoryFile.Create("build", 1 << 20),
        MemoryView.Shared);

    private static int Threads() => OwnThreads.Names().Count(name => s_own.Any(own => name.StartsWith(own, StringComparison.Ordinal)));

    /// <summary>What is open of what a machine is made of; the runtime may open assemblies at any time.</summary>
    private static string[] Descriptors() =>
        [.. Open().Where(static open => s_parts.Any(part => open.Target.Contains(part, StringComparison.Ordinal))).Select(static open => $"{open}").Order()];

    private static IEnumerable<(int Number, string Target)> Open() => Directory.GetFileSystemEntries("/proc/self/fd")
        .Select(static fd => (int.Parse(Path.GetFileName(fd)), new FileInfo(fd).LinkTarget ?? ""));

    private sealed class NoConsole : Vmm.Devices.ISerialOutput
    {
        public void Write(ReadOnlySpan<byte> bytes) { }
    }
}
