namespace Bgkvm.Control;

/// <summary>The answer to <c>POST /v1/stop</c>.</summary>
/// <param name="Stopped">Whether the guest is off. False: it ignored the power button and still runs.</param>
internal sealed record StopResult(bool Stopped);
