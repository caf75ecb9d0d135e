namespace Cloning.Instances;

/// <summary>The steps of a reboot, in order (docs/architecture.md).</summary>
public enum RebootPhase
{
    /// <summary>Building the shadow, both overlays and the instance's next machine; the guest runs.</summary>
    Prepare,
    /// <summary>Clone pause: memory and disks are frozen, the instance moves onto its copy-on-write view.</summary>
    Fork,
    /// <summary>The shadow's old OS shuts down (in place: the guest does).</summary>
    ShutDown,
    /// <summary>The shadow starts over on new memory, the persistent disk sealed.</summary>
    Reset,
    /// <summary>The new OS boots.</summary>
    Boot,
    /// <summary>The new OS is up; its state is handed over.</summary>
    Ready,
    /// <summary>Switch pause: the instance moves onto the rebooted state.</summary>
    Switch,
    /// <summary>Cleaning up; the guest runs the new OS.</summary>
    After,
}
