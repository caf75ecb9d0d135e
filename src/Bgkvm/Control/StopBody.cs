namespace Bgkvm.Control;

/// <summary>The body of <c>POST /v1/stop</c>; everything may be left out.</summary>
/// <param name="Force">Stop the machine at once instead of pressing the power button.</param>
/// <param name="TimeoutSeconds">How long to wait for the guest.</param>
internal sealed record StopBody(bool Force = false, int TimeoutSeconds = StopBody.DefaultTimeoutSeconds)
{
    /// <summary>The default time-out, seconds.</summary>
    public const int DefaultTimeoutSeconds = 60;
}
