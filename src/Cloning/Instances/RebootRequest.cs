using Cloning.Isolation;

namespace Cloning.Instances;

/// <summary>What <c>bgkvm reboot</c> asks for.</summary>
/// <param name="Mode">In place or in the background.</param>
/// <param name="Shutdown">How the old OS ends.</param>
/// <param name="Quiesce">How the instance is brought to rest before the switch (background only).</param>
/// <param name="Timeout">From the request until the OS must be ready.</param>
/// <param name="KeepDiscarded">
/// Background only: where to keep what is discarded, an absolute path; empty for the instance's directory, null for not at all.
/// </param>
/// <param name="Priority">Background only: what the shadow may have of the host.</param>
/// <param name="MaxDuration">Background only: how long it should take at most, from the request until ready; null for <see cref="Patience"/>'s default.</param>
/// <param name="OnMaxDuration">What happens when that time is over.</param>
/// <param name="ShutdownTimeout">How long the old OS may take to shut down before it is reset; null for half the time-out.</param>
public sealed record RebootRequest(
    RebootMode Mode, ShutdownMode Shutdown, QuiesceMode Quiesce, TimeSpan Timeout, string? KeepDiscarded = null,
    RebootPriority Priority = RebootPriority.Idle, TimeSpan? MaxDuration = null, OverrunAction OnMaxDuration = OverrunAction.Raise,
    TimeSpan? ShutdownTimeout = null)
{
    // systemd gives a device or a service up after 90 s; the step from low to normal comes at half as much time again.
    private static readonly TimeSpan s_guestPatience = TimeSpan.FromSeconds(60);

    /// <summary>
    /// When <see cref="OnMaxDuration"/> happens: after <see cref="MaxDuration"/>, or else after half of <see cref="Timeout"/> and at most 60 s,
    /// so that an OS whose boot is starved does not lose patience with its own services and come up with some of them failed.
    /// </summary>
    public TimeSpan Patience => MaxDuration ?? TimeSpan.FromTicks(Math.Min(Timeout.Ticks / 2, s_guestPatience.Ticks));

    /// <summary>How long the old OS may take to shut down before it is reset.</summary>
    public TimeSpan ShutdownLimit => ShutdownTimeout ?? Timeout / 2;
}
