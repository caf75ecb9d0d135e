namespace Cloning.Switch;

/// <summary>By what means the guest's file systems are brought to rest before a switch.</summary>
internal enum AtRest
{
    /// <summary>They work as ever: writes that were not fsynced are lost as in a power cut.</summary>
    Nothing,
    /// <summary>Frozen by the guest itself, which can thaw them.</summary>
    Frozen,
    /// <summary>Remounted read-only by its kernel, for good.</summary>
    ReadOnly,
}
