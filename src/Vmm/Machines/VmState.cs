using System.Runtime.CompilerServices;
using Kvm.Interop;

namespace Vmm.Machines;

/// <summary>The state of a VM outside its vCPUs, as the raw bytes of the kernel's structures.</summary>
public sealed class VmState
{
    /// <summary>Three <c>struct kvm_irqchip</c>, one after the other: both PICs and the IOAPIC.</summary>
    public byte[] Irqchips { get; init; } = new byte[3 * Unsafe.SizeOf<KvmIrqchip>()];
    /// <summary><c>struct kvm_pit_state2</c>.</summary>
    public byte[] Pit { get; init; } = new byte[Unsafe.SizeOf<KvmPitState2>()];
    /// <summary><c>struct kvm_clock_data</c>.</summary>
    public byte[] Clock { get; init; } = new byte[Unsafe.SizeOf<KvmClockData>()];
    /// <summary>When <see cref="Clock"/> was taken, in ticks of the host's monotonic clock (<see cref="System.Diagnostics.Stopwatch"/>).</summary>
    public long ClockTakenAt { get; set; }
}
