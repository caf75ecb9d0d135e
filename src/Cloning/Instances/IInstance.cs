namespace Cloning.Instances;

/// <summary>What the control API and the command line do with a running instance.</summary>
public interface IInstance
{
    /// <summary>Its console: output so far, output to come, and input.</summary>
    IConsole Console { get; }

    /// <summary>Ends when the guest has powered off for good (or was stopped); faults when the machine broke.</summary>
    Task Completion { get; }

    /// <summary>Looks at it.</summary>
    InstanceStatus Status();

    /// <summary>Reboots it. One reboot at a time: a second request fails with <see cref="InstanceBusyException"/>.</summary>
    /// <param name="request">How.</param>
    /// <param name="progress">Told of every phase; never called inside a pause.</param>
    /// <param name="cancellation">Gives up a background reboot: outcome Aborted.</param>
    Task<RebootReport> RebootAsync(RebootRequest request, IProgress<RebootProgress> progress, CancellationToken cancellation);

    /// <summary>Presses the power button and waits for the guest to power off.</summary>
    /// <param name="force">Stops the machine at once instead.</param>
    /// <param name="timeout">How long to wait for the guest.</param>
    /// <returns>Whether the guest is off. False: it ignored the button and still runs.</returns>
    Task<bool> StopAsync(bool force, TimeSpan timeout);
}
