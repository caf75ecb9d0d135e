namespace Vmm.Machines;

/// <summary>How a machine can come to its end.</summary>
public enum MachineExitKind
{
    /// <summary>The guest asked for a reset, or ran into a triple fault.</summary>
    Reset,
    /// <summary>The guest switched itself off (ACPI S5).</summary>
    PowerOff,
    /// <summary>The host cannot run it any further.</summary>
    Failed,
}
