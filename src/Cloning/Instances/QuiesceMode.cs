namespace Cloning.Instances;

/// <summary>How the instance's file systems are brought to rest before the switch.</summary>
public enum QuiesceMode
{
    /// <summary>The best way the guest offers.</summary>
    Auto,
    /// <summary>SysRq s, then u, by serial BREAK.</summary>
    Sysrq,
    /// <summary>Not at all: writes that were not fsynced are lost as in a power cut.</summary>
    None,
}
