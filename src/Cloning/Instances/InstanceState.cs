namespace Cloning.Instances;

/// <summary>What an instance is doing.</summary>
public enum InstanceState
{
    /// <summary>The guest boots; the ready pattern has not appeared yet.</summary>
    Booting,
    /// <summary>The guest is up.</summary>
    Running,
    /// <summary>Being rebooted in place.</summary>
    Rebooting,
    /// <summary>The power button has been pressed.</summary>
    Stopping,
    /// <summary>The guest is off; the process is about to end.</summary>
    Stopped,
}
