namespace Bgkvm.Hosting;

/// <summary>What the instance's process says, once, to the <c>start</c> that launched it: one line of JSON.</summary>
/// <param name="Ok">Whether the guest runs and the sockets are there.</param>
/// <param name="Message">What is wrong, or null.</param>
/// <param name="ExitCode">The exit code for it.</param>
internal sealed record StartReport(bool Ok, string? Message, int ExitCode);
