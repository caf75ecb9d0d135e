using System.Runtime.InteropServices;
using Kvm.Interop;

namespace Vmm.Machines;

/// <summary>
/// A local APIC timer in one-shot mode, as the registers of KVM_GET_LAPIC show it (Intel SDM vol. 3 §11.5.4).
/// </summary>
/// <remarks>
/// One-shot mode is the one timer state that does not survive KVM_GET_LAPIC and KVM_SET_LAPIC: "has fired" and "has expired, and the
/// interrupt is still to be injected" look the same there, a count of zero, and at the load KVM takes it for the second and fires.
/// So a vCPU that stops with the count at zero waits for the host's timer behind it and lets KVM inject what is due
/// (<see cref="Vcpu"/>), and then the saved timer is disarmed. The guest sees an initial count of zero where it wrote another, and no interrupt twice.
/// </remarks>
internal static class OneShotTimer
{
    private const int Requests = 0x200, Entry = 0x320, InitialCount = 0x380, CurrentCount = 0x390;
    private const uint ModeMask = 3 << 17, OneShot = 0;

    /// <summary>Whether it was armed and has come to its end.</summary>
    internal static bool HasExpired(in KvmLapicState lapic) =>
        (Register(lapic, Entry) & ModeMask) == OneShot && Register(lapic, InitialCount) != 0 && Register(lapic, CurrentCount) == 0;

    /// <summary>Whether its interrupt waits in the local APIC to be taken (the interrupt request register, Intel SDM vol. 3 §11.8.4).</summary>
    internal static bool IsRequested(in KvmLapicState lapic)
    {
        uint vector = Register(lapic, Entry) & byte.MaxValue;
        return (Register(lapic, Requests + ((int)vector / 32 * 0x10)) & (1u << (int)(vector % 32))) != 0;
    }

    /// <summary>Makes it one that was never armed.</summary>
    internal static void Disarm(ref KvmLapicState lapic) => ((Span<byte>)lapic).Slice(InitialCount, sizeof(uint)).Clear();

    private static uint Register(in KvmLapicState lapic, int offset) =>
        MemoryMarshal.Read<uint>(((ReadOnlySpan<byte>)lapic)[offset..]);
}
