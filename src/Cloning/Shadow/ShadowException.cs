namespace Cloning.Shadow;

/// <summary>The shadow cannot go on; the instance can. The message is the reason that the user reads.</summary>
/// <param name="message">One line.</param>
/// <param name="inner">The cause, or null.</param>
/// <param name="lastLines">What the new OS printed last, if it is the OS that failed.</param>
public sealed class ShadowException(string message, Exception? inner = null, IReadOnlyList<string>? lastLines = null)
    : Exception(message, inner)
{
    /// <summary>What the new OS's console showed last, oldest line first; null where something else failed.</summary>
    public IReadOnlyList<string>? LastLines { get; } = lastLines;
}
