namespace Cloning.Isolation;

/// <summary>One of the host's mechanisms, and whether the shadow is under it.</summary>
/// <param name="Resource">What it is about.</param>
/// <param name="Mechanism">The kernel's name for it, or <c>limiter</c> for bgkvm's own.</param>
/// <param name="Applied">Whether it is in force.</param>
/// <param name="Detail">What was set; or why it could not be.</param>
public sealed record IsolationMeasure(IsolatedResource Resource, string Mechanism, bool Applied, string Detail);
