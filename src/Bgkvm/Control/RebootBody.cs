using Cloning.Instances;
using Cloning.Isolation;

namespace Bgkvm.Control;

/// <summary>The body of <c>POST /v1/reboot</c>; everything may be left out.</summary>
/// <param name="Mode">In place unless said otherwise.</param>
/// <param name="Shutdown">Clean unless said otherwise.</param>
/// <param name="Quiesce">The best way there is unless said otherwise.</param>
/// <param name="TimeoutSeconds">From the request until the OS must be ready.</param>
/// <param name="KeepDiscarded">Directory to keep what is discarded in, absolute; empty for the instance's own, null for not at all.</param>
/// <param name="Priority">Idle unless said otherwise (background).</param>
/// <param name="MaxDurationSeconds">How long it should take at most (background).</param>
/// <param name="OnMaxDuration">What happens when that time is over.</param>
/// <param name="ShutdownTimeoutSeconds">How long the old OS may take to shut down; null for half of the time-out.</param>
internal sealed record RebootBody(
    RebootMode Mode = RebootMode.InPlace,
    ShutdownMode Shutdown = ShutdownMode.Clean,
    QuiesceMode Quiesce = QuiesceMode.Auto,
    int TimeoutSeconds = RebootBody.DefaultTimeoutSeconds,
    string? KeepDiscarded = null,
    RebootPriority Priority = RebootPriority.Idle,
    int? MaxDurationSeconds = null,
    OverrunAction OnMaxDuration = OverrunAction.Raise,
    int? ShutdownTimeoutSeconds = null)
{
    /// <summary>The default time-out, seconds.</summary>
    public const int DefaultTimeoutSeconds = 300;
}
