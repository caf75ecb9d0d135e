namespace Cloning.Instances;

/// <summary>An instance cannot be started as asked. The message is one clear line for the user.</summary>
/// <param name="message">What is wrong, and with what.</param>
/// <param name="exitCode">The exit code for it: 1 failed, 2 usage, 3 no such instance, 4 the host lacks something.</param>
/// <param name="inner">The cause, or null.</param>
public sealed class InstanceException(string message, int exitCode = 1, Exception? inner = null) : Exception(message, inner)
{
    /// <summary>The process exit code that goes with it.</summary>
    public int ExitCode { get; } = exitCode;
}
