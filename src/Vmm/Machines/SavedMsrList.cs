using Kvm.Interop;

namespace Vmm.Machines;

/// <summary>Finds out which MSRs make up a vCPU's state on this host, by trying each on a scratch vCPU.</summary>
internal static class SavedMsrList
{
    /// <summary>IA32_TSC: restored through the vCPU's TSC offset instead, or first of all where the host lacks that.</summary>
    internal const uint Tsc = 0x10;
    /// <summary>IA32_TSC_DEADLINE: means nothing until the TSC is right, so it goes last.</summary>
    internal const uint TscDeadline = 0x6e0;

    // State that KVM keeps and KVM_GET_MSR_INDEX_LIST does not name, or not in every version: IA32_DEBUGCTL; the memory
    // types a firmware or kernel has set up (IA32_MTRR_DEF_TYPE, eight variable pairs, eleven fixed ranges); IA32_MCi_CTL of
    // 32 machine-check banks.
    private static readonly uint[] s_unlisted =
    [
        0x1D9, 0x2FF, .. Range(0x200, 16), 0x250, 0x258, 0x259, .. Range(0x268, 8), .. Range(0x100, 32).Select(bank => bank * 4),
    ];

    internal static uint[] Discover(KvmHost host)
    {
        using VmFd vm = host.CreateVm();
        vm.Call(KvmIoctls.KVM_CREATE_IRQCHIP);
        using VcpuFd vcpu = new(vm.Call(KvmIoctls.KVM_CREATE_VCPU, 0));
        GuestCpuid.Set(vcpu, host, index: 0, count: 1);

        List<uint> kept = [];
        using FamBuffer<KvmMsrs, KvmMsrEntry> one = new(1);
        foreach (uint index in host.ReadMsrIndexList().Union(s_unlisted))
        {
            if (index is Tsc or TscDeadline) continue;
            one.Header.Count = 1;
            one.Entries[0] = new KvmMsrEntry { Index = index };
            // A list may name MSRs that this CPU model does not have, or that only some guests may write.
            if (vcpu.Exchange(KvmIoctls.KVM_GET_MSRS, one) == 1 && vcpu.Set(KvmIoctls.KVM_SET_MSRS, one) == 1) kept.Add(index);
        }

        return [Tsc, .. kept, TscDeadline];
    }

    private static IEnumerable<uint> Range(uint first, int count) => Enumerable.Range((int)first, count).Select(index => (uint)index);
}
