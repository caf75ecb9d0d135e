using System.Runtime.CompilerServices;

namespace Kvm.Interop;

/// <summary>C <c>struct kvm_lapic_state</c> (linux/kvm.h): the local APIC registers page.</summary>
[InlineArray(Length)]
public struct KvmLapicState
{
    /// <summary>Number of elements.</summary>
    public const int Length = 1024;

    private byte _element0;
}
