namespace Vmm.Machines;

/// <summary>How a machine came to its end.</summary>
/// <param name="Kind">What happened.</param>
/// <param name="Detail">For people: which register, which error.</param>
public sealed record MachineExit(MachineExitKind Kind, string Detail);
