using Cloning.Isolation;
using Xunit;

namespace Cloning.Tests.Isolation;

/// <summary>Whether it is memory that the probe asks, on this host.</summary>
public sealed class MemoryProbeTests
{
    [Fact]
    public void What_it_reads_is_in_no_cache()
    {
        using MemoryProbe probe = new();
        double[] cold = [.. Enumerable.Range(0, 101).Select(_ => probe.Measure()).Order()];
        double[] cached = [.. Enumerable.Range(0, 101).Select(_ => probe.MeasureCached()).Order()];
        // Some 140 ns against 2; another's load on the host makes both slower, and not for 50 times in a row.
        Assert.True(cold[50] > 5 * cached[50], $"{cold[50]:0.0} ns out of memory, {cached[50]:0.0} ns out of the caches");
    }
}
