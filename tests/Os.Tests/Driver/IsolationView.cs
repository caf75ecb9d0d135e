namespace Os.Tests.Driver;

/// <summary>How the shadow is kept off what the instance uses, as <c>status --json</c> has it.</summary>
internal sealed record IsolationView(string Priority, string? Partial, IReadOnlyList<IsolationView.Measure> Measures)
{
    /// <summary>One of the host's mechanisms.</summary>
    internal sealed record Measure(string Resource, string Mechanism, bool Applied, string Detail);
}
