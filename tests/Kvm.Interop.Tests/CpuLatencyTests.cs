using Xunit;

namespace Kvm.Interop.Tests;

/// <summary>The host's promise about sleeping processors, asked of the host itself.</summary>
public sealed class CpuLatencyTests
{
    private static readonly bool s_mayAsk = Environment.IsPrivilegedProcess && File.Exists(CpuLatency.Device);

    [Fact]
    public void Processors_are_kept_awake_until_it_is_disposed()
    {
        using (SafeFd? request = CpuLatency.KeepAwake())
        {
            Assert.Equal(s_mayAsk, request is not null);
            if (request is not null) Assert.Equal(0, Allowed());
        }

        if (s_mayAsk) Assert.NotEqual(0, Allowed());
    }

    /// <summary>What is in force, microseconds.</summary>
    private static int Allowed() => BitConverter.ToInt32(File.ReadAllBytes(CpuLatency.Device));
}
