using System.Runtime.CompilerServices;
using Kvm.Interop;

namespace Vmm.Machines;

/// <summary>
/// Everything a vCPU is, as the raw bytes of the kernel's structures (api.rst §4): nothing interprets them between save and load.
/// The buffers exist from the start, so that saving allocates nothing.
/// </summary>
public sealed class VcpuState
{
    /// <summary>For deserialisation.</summary>
    public VcpuState() : this(0) { }

    /// <summary>Makes an empty one.</summary>
    /// <param name="msrCount">How many MSRs it will hold.</param>
    public VcpuState(int msrCount) => Msrs = new byte[msrCount * Unsafe.SizeOf<KvmMsrEntry>()];

    /// <summary><c>struct kvm_mp_state</c>.</summary>
    public byte[] MpState { get; init; } = new byte[Unsafe.SizeOf<KvmMpState>()];
    /// <summary><c>struct kvm_regs</c>.</summary>
    public byte[] Regs { get; init; } = new byte[Unsafe.SizeOf<KvmRegs>()];
    /// <summary><c>struct kvm_sregs2</c>, or where the host lacks it <c>struct kvm_sregs</c>, which begins alike and is shorter.</summary>
    public byte[] Sregs { get; init; } = new byte[Unsafe.SizeOf<KvmSregs2>()];
    /// <summary><c>struct kvm_xsave</c>.</summary>
    public byte[] Xsave { get; init; } = new byte[Unsafe.SizeOf<KvmXsave>()];
    /// <summary><c>struct kvm_xcrs</c>.</summary>
    public byte[] Xcrs { get; init; } = new byte[Unsafe.SizeOf<KvmXcrs>()];
    /// <summary><c>struct kvm_debugregs</c>.</summary>
    public byte[] DebugRegs { get; init; } = new byte[Unsafe.SizeOf<KvmDebugRegs>()];
    /// <summary><c>struct kvm_lapic_state</c>.</summary>
    public byte[] Lapic { get; init; } = new byte[Unsafe.SizeOf<KvmLapicState>()];
    /// <summary><c>struct kvm_vcpu_events</c>.</summary>
    public byte[] Events { get; init; } = new byte[Unsafe.SizeOf<KvmVcpuEvents>()];
    /// <summary>Array of <c>struct kvm_msr_entry</c>: IA32_TSC first, IA32_TSC_DEADLINE last.</summary>
    public byte[] Msrs { get; init; }
    /// <summary>Guest TSC minus host TSC, or null where this host does not tell: then the IA32_TSC among the MSRs counts.</summary>
    public ulong? TscOffset { get; set; }
}
