namespace Cloning.Instances;

/// <summary>How the old OS ends.</summary>
public enum ShutdownMode
{
    /// <summary>ACPI power button; after a time-out a plain reset.</summary>
    Clean,
    /// <summary>A plain reset at once.</summary>
    Reset,
}
