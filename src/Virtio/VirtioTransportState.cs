namespace Virtio;

/// <summary>Everything a transport is, as plain data: the registers of virtio 1.2 §4.2.2 and the queues.</summary>
public sealed record VirtioTransportState
{
    /// <summary>
    /// The layout of this record and of <see cref="VirtqueueState"/>. 2 since chains on their way and the device's own
    /// settings are part of them; 1 had no such number.
    /// </summary>
    public const int CurrentLayout = 2;

    /// <summary>The layout it was saved in.</summary>
    public required int Layout { get; init; }

    /// <summary>Device type it belongs to.</summary>
    public required uint DeviceId { get; init; }

    /// <summary>DeviceFeaturesSel.</summary>
    public required uint DeviceFeaturesSelect { get; init; }

    /// <summary>DriverFeaturesSel.</summary>
    public required uint DriverFeaturesSelect { get; init; }

    /// <summary>The features the driver has accepted, so far or finally.</summary>
    public required ulong DriverFeatures { get; init; }

    /// <summary>QueueSel.</summary>
    public required uint QueueSelect { get; init; }

    /// <summary>Status.</summary>
    public required VirtioStatus Status { get; init; }

    /// <summary>InterruptStatus.</summary>
    public required uint InterruptStatus { get; init; }

    /// <summary>ConfigGeneration.</summary>
    public required uint ConfigGeneration { get; init; }

    /// <summary>What the driver has set in the device's own configuration (<see cref="IVirtioDevice.Settings"/>).</summary>
    public required uint Settings { get; init; }

    /// <summary>The queues, in order.</summary>
    public required IReadOnlyList<VirtqueueState> Queues { get; init; }
}
