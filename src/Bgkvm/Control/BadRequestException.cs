namespace Bgkvm.Control;

/// <summary>A request's body makes no sense.</summary>
/// <param name="message">What is wrong with it.</param>
internal sealed class BadRequestException(string message) : Exception(message);
