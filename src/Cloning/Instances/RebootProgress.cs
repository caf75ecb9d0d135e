namespace Cloning.Instances;

/// <summary>A line of progress while a reboot runs.</summary>
/// <param name="Phase">The phase just entered.</param>
/// <param name="ElapsedMillis">Since the request.</param>
/// <param name="Detail">One line for people, or null.</param>
public sealed record RebootProgress(RebootPhase Phase, long ElapsedMillis, string? Detail);
