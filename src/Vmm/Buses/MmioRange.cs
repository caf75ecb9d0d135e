using Virtio;

namespace Vmm.Buses;

/// <summary>A device's window of guest-physical memory.</summary>
/// <param name="Start">First address.</param>
/// <param name="Length">Bytes.</param>
/// <param name="Device">Who answers.</param>
public readonly record struct MmioRange(ulong Start, ulong Length, IMmioDevice Device);
