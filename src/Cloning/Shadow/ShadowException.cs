namespace Cloning.Shadow;

/// <summary>The shadow cannot go on; the instance can. The message is the reason that the user reads.</summary>
/// <param name="message">One line.</param>
/// <param name="inner">The cause, or null.</param>
public sealed class ShadowException(string message, Exception? inner = null) : Exception(message, inner);
