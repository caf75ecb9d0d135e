using Xunit;

namespace Vmm.Tests.Machines;

/// <summary>A local APIC timer in one-shot mode, which KVM does not save whole: see <c>Vmm.Machines.OneShotTimer</c>.</summary>
public sealed class OneShotTimerTests
{
    [Fact]
    public void It_fires_once_wherever_it_is_moved_to() => Assert.True(OneShotTimerRun.Move(200) >= 200);
}
