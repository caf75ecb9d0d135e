using Cloning.Instances;
using Xunit;

namespace Cloning.Tests.Faults;

/// <summary>What the host lacks is said before anything begins.</summary>
public sealed class RefusalTests
{
    [Fact]
    public async Task A_host_that_lacks_memory_refuses_and_says_how_much()
    {
        string available = File.ReadLines("/proc/meminfo").First(line => line.StartsWith("MemTotal:", StringComparison.Ordinal));
        int most = (int)(long.Parse(available.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1]) >> 10);
        // Memory that the guest never touches costs nothing.
        using TestInstance guest = new('1', configure: config => config with { MemoryMiB = most });
        int before = guest.Instance.Status().Generation;
        InstanceException refused = await Assert.ThrowsAsync<InstanceException>(() => guest.RebootInBackground());
        Assert.Equal(4, refused.ExitCode);
        Assert.Contains($"may need {2 * most} MiB more memory", refused.Message, StringComparison.Ordinal);
        guest.Ask('v', "<1>");
        Assert.Equal(before, guest.Instance.Status().Generation);
    }
}
