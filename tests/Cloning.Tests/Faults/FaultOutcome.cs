namespace Cloning.Tests.Faults;

/// <summary>How a background reboot that something befalls ends.</summary>
internal enum FaultOutcome
{
    /// <summary>The instance runs on; exit code 5.</summary>
    Aborted,
    /// <summary>Nothing had begun; exit code 4.</summary>
    Refused,
    /// <summary>The guest, which had asked for a reset itself, boots; exit code 5.</summary>
    GuestReboots,
    /// <summary>The instance is off, as was asked for; exit code 5.</summary>
    Stopped,
    /// <summary>It came too late to matter: the new OS runs; exit code 0.</summary>
    Switched,
    /// <summary>The new OS runs for a moment, and is then off, as was asked for; exit code 0.</summary>
    SwitchedAndStopped,
}
