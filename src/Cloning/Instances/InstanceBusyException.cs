namespace Cloning.Instances;

/// <summary>The instance is being rebooted or stopped already.</summary>
/// <param name="message">What is under way.</param>
public sealed class InstanceBusyException(string message) : InvalidOperationException(message);
