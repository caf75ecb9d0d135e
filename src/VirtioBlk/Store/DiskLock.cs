namespace VirtioBlk.Store;

/// <summary>What an open disk keeps other processes, and other opens in this one, from doing.</summary>
public enum DiskLock
{
    /// <summary>Nothing. For looking at a disk somebody else writes; what is read may be inconsistent.</summary>
    None,
    /// <summary>Others may read, nobody may write: a base or a frozen layer.</summary>
    Shared,
    /// <summary>Nobody else may use it, except with <see cref="None"/>.</summary>
    Exclusive,
}
