namespace Vmm.HostCheck;

/// <summary>Which of the instructions under test the guest's own CPUID shows: what it does not show, Linux does not use.</summary>
/// <param name="Popcnt">POPCNT.</param>
/// <param name="Cmpxchg16b">CMPXCHG16B.</param>
/// <param name="Xsave">XSAVE and XRSTOR.</param>
/// <param name="Smap">CLAC and STAC.</param>
internal sealed record CpuFeatures(bool Popcnt, bool Cmpxchg16b, bool Xsave, bool Smap)
{
    /// <summary>Asks in the guest. A KVM may show its guests other bits than KVM_SET_CPUID2 told it to; they believe what they see.</summary>
    internal static CpuFeatures Read(ProbeMachine machine)
    {
        uint leaf1 = 0, leaf7 = 0;
        if (machine.Start(MicroGuests.Cpuid, rdi: 1).Reported) leaf1 = (uint)machine.ReadRegs().Rcx;
        if (machine.Start(MicroGuests.Cpuid, rdi: 7).Reported) leaf7 = (uint)machine.ReadRegs().Rbx;
        // Intel SDM vol. 2A, CPUID: leaf 1 ECX, leaf 7 EBX.
        return new CpuFeatures(
            Popcnt: (leaf1 & (1 << 23)) != 0,
            Cmpxchg16b: (leaf1 & (1 << 13)) != 0,
            Xsave: (leaf1 & (1 << 26)) != 0,
            Smap: (leaf7 & (1 << 20)) != 0);
    }
}
