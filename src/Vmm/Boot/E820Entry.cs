namespace Vmm.Boot;

/// <summary>A range of a guest's memory map.</summary>
/// <param name="Start">First guest-physical address.</param>
/// <param name="Length">Bytes.</param>
/// <param name="Type">What it is for.</param>
public readonly record struct E820Entry(ulong Start, ulong Length, E820Type Type);
