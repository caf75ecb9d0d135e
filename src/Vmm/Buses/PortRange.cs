namespace Vmm.Buses;

/// <summary>A device's ports.</summary>
/// <param name="Start">First port.</param>
/// <param name="Count">How many ports.</param>
/// <param name="Device">Who answers.</param>
public readonly record struct PortRange(ushort Start, ushort Count, IPortDevice Device);
