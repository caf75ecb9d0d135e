using System.Numerics;
using Kvm.Interop;

namespace Vmm.Machines;

/// <summary>What CPUID answers in the guest: what KVM supports, plus topology, minus what a saved state could not carry.</summary>
internal static class GuestCpuid
{
    private const uint Hypervisor = 1u << 31, TscDeadline = 1u << 24, Vmx = 1u << 5; // leaf 1 ECX
    private const uint Htt = 1u << 28; // leaf 1 EDX
    private const uint ShadowStack = 1u << 7; // leaf 7.0 ECX
    private const uint Svm = 1u << 2; // leaf 0x80000001 ECX

    /// <summary>Gives a vCPU its CPUID.</summary>
    /// <param name="vcpu">The vCPU.</param>
    /// <param name="host">Where the supported leaves come from.</param>
    /// <param name="index">The vCPU's APIC id.</param>
    /// <param name="count">How many vCPUs the machine has: one package, one thread a core.</param>
    internal static void Set(VcpuFd vcpu, KvmHost host, int index, int count)
    {
        KvmCpuidEntry2[] supported = host.SupportedCpuid;
        using FamBuffer<KvmCpuid2, KvmCpuidEntry2> buffer = new(supported.Length);
        supported.CopyTo(buffer.Entries);
        buffer.Header.Count = (uint)supported.Length;
        bool deadline = host.Check(KvmCap.TscDeadlineTimer) != 0;
        foreach (ref KvmCpuidEntry2 entry in buffer.Entries) Adapt(ref entry, (uint)index, (uint)count, deadline);
        vcpu.Set(KvmIoctls.KVM_SET_CPUID2, buffer);
    }

    /// <summary>Makes a leaf that KVM supports into one of a guest's vCPU.</summary>
    internal static void Adapt(ref KvmCpuidEntry2 entry, uint apicId, uint count, bool deadline)
    {
        uint coreBits = (uint)BitOperations.Log2(BitOperations.RoundUpToPowerOf2(count));
        switch (entry.Function)
        {
            case 0x1:
                entry.Ebx = (entry.Ebx & 0xFFFF) | (count << 16) | (apicId << 24);
                // Nested virtualization is state that no KVM_GET below carries: not offered.
                entry.Ecx = (entry.Ecx | Hypervisor) & ~Vmx;
                if (deadline) entry.Ecx |= TscDeadline;
                entry.Edx = count > 1 ? entry.Edx | Htt : entry.Edx & ~Htt;
                break;
            case 0x4 or 0x8000001D:
                // Threads sharing a cache: one each (bits 14-25); cores in the package (bits 26-31, Intel only).
                entry.Eax &= entry.Function == 4 ? 0x0000_3FFFu : 0xFC00_3FFFu;
                if (entry.Function == 4 && (entry.Eax & 0x1F) != 0) entry.Eax |= (count - 1) << 26;
                break;
            case 0x7 when entry.Index == 0:
                // The shadow stack's pointer is state that no KVM_GET below carries (only KVM_GET_ONE_REG does). Branch tracking, the other
                // half of CET, has two MSRs that KVM lists.
                entry.Ecx &= ~ShadowStack;
                break;
            case 0xB or 0x1F:
                entry.Edx = apicId;
                (entry.Eax, entry.Ebx, entry.Ecx) = entry.Index switch
                {
                    0 => (0u, 1u, 0x100u), // SMT level: one thread
                    1 => (coreBits, count, 0x201u), // core level
                    _ => (0u, 0u, entry.Index),
                };
                break;
            case 0x80000001:
                entry.Ecx &= ~Svm;
                break;
            case 0x80000008:
                entry.Ecx = (count - 1) | (coreBits << 12);
                break;
            case 0x8000001E:
                (entry.Eax, entry.Ebx, entry.Ecx) = (apicId, apicId, 0);
                break;
        }
    }
}
