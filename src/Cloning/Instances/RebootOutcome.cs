namespace Cloning.Instances;

/// <summary>How a reboot ended.</summary>
public enum RebootOutcome
{
    /// <summary>The instance runs the rebooted state.</summary>
    Switched,
    /// <summary>The background reboot was given up; the instance runs on, unharmed.</summary>
    Aborted,
    /// <summary>The instance was rebooted in place.</summary>
    Rebooted,
}
