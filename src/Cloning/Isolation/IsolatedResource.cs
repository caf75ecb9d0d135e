namespace Cloning.Isolation;

/// <summary>What a shadow and its instance would otherwise fight for.</summary>
public enum IsolatedResource
{
    /// <summary>Processor time.</summary>
    Cpu,
    /// <summary>The host's disks.</summary>
    Disk,
    /// <summary>Memory.</summary>
    Memory,
}
