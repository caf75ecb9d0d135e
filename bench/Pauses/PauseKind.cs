namespace Pauses;

/// <summary>Which pause.</summary>
internal enum PauseKind
{
    /// <summary>The fork: the guest goes on in a private copy-on-write view of the same memory.</summary>
    Clone,

    /// <summary>The switch: the old guest stops, one rename commits, the rebooted guest, loaded already, runs.</summary>
    Switch,
}
