namespace Cloning.Isolation;

/// <summary>How well a shadow is kept off what its instance uses: the one under way, or else the last one.</summary>
/// <param name="Priority">Its priority now.</param>
/// <param name="Partial">What is missing, in one line for people, or null.</param>
/// <param name="Measures">Every mechanism that was tried.</param>
public sealed record IsolationReport(RebootPriority Priority, string? Partial, IReadOnlyList<IsolationMeasure> Measures);
