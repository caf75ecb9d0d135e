using CowMemory;

namespace Virtio;

/// <summary>One buffer of a descriptor chain. Not checked against memory yet.</summary>
/// <param name="Address">Where the guest says it is.</param>
/// <param name="Length">Bytes; may be 0.</param>
public readonly record struct ChainBuffer(Gpa Address, uint Length);
