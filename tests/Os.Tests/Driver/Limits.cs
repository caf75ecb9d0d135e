namespace Os.Tests.Driver;

/// <summary>
/// How long anything may take before it counts as hung. Generous: under emulation on a busy host a boot that takes five
/// seconds may take a minute. No test waits for a limit to pass unless something is broken.
/// </summary>
internal static class Limits
{
    /// <summary>From power-on to the login prompt.</summary>
    public static readonly TimeSpan Boot = TimeSpan.FromSeconds(150);

    /// <summary>A command in the guest's shell.</summary>
    public static readonly TimeSpan Answer = TimeSpan.FromSeconds(60);

    /// <summary>A bgkvm command that boots nothing, or a tool of the host.</summary>
    public static readonly TimeSpan Command = TimeSpan.FromSeconds(90);

    /// <summary>A background reboot: the old OS ends, the new one boots, on left-over time.</summary>
    public static readonly TimeSpan Reboot = TimeSpan.FromSeconds(200);
}
