using Kvm.Interop;
using Vmm.Machines;
using Xunit;

namespace Vmm.Tests.Machines;

/// <summary>What the guest is not offered, whatever the host has.</summary>
public sealed class GuestCpuidTests
{
    [Theory(DisplayName = "A feature whose state no saved machine carries is not offered; others are")]
    [InlineData(0x1u, ~(1u << 5), ~0u)] // VMX
    [InlineData(0x7u, ~(1u << 7), ~0u)] // CET_SS, the shadow stack; CET_IBT stays
    [InlineData(0x8000_0001u, ~(1u << 2), ~0u)] // SVM
    public void Not_offered(uint leaf, uint ecx, uint edx)
    {
        KvmCpuidEntry2 entry = new() { Function = leaf, Ecx = ~0u, Edx = ~0u };
        GuestCpuid.Adapt(ref entry, apicId: 0, count: 2, deadline: true);
        Assert.Equal((ecx, edx), (entry.Ecx, entry.Edx));
    }
}
