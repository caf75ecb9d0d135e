using Kvm.Interop;
using TestKit.Guests;
using Vmm.HostCheck;
using Xunit;

namespace Vmm.Tests.HostCheck;

/// <summary>A micro-guest that goes wrong is stopped, named, and no harm to the next one.</summary>
[Collection("host probe")]
public sealed class ProbeMachineTests : IDisposable
{
    private readonly KvmFd _kvm = BareVm.OpenKvm();
    private readonly ProbeMachine _machine;

    public ProbeMachineTests() => _machine = new ProbeMachine(_kvm);

    public void Dispose()
    {
        _machine.Dispose();
        _kvm.Dispose();
    }

    [Fact]
    public void A_guest_that_hangs_is_stopped_by_the_watchdog()
    {
        ProbeExit exit = _machine.Start([0xEB, 0xFE], limitMillis: 30); // jmp 0
        Assert.True(exit.TimedOut);
        Assert.Equal("the guest hung", exit.ToString());
        Assert.False(_machine.Hung); // stopped as it was asked for
        WorksStill();
    }

    [Fact]
    public void A_guest_that_sleeps_for_ever_is_stopped_by_the_watchdog()
    {
        Assert.True(_machine.Start([0xFA, 0xF4], limitMillis: 30).TimedOut); // cli; hlt
        WorksStill();
    }

    [Fact]
    public void An_exception_is_reported_with_its_vector()
    {
        Assert.Equal("exception 6 in the guest", _machine.Start([0x0F, 0x0B]).ToString()); // ud2
        Assert.Equal("exception 14 in the guest", _machine.Start([0x8B, 0x07], rdi: 1UL << 40).ToString()); // mov eax,[rdi]
        WorksStill();
    }

    private void WorksStill() => Assert.True(_machine.Start(MicroGuests.Cpuid).Reported);
}
