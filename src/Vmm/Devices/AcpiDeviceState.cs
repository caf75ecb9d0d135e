namespace Vmm.Devices;

/// <summary>All of an <see cref="AcpiDevice"/>, at rest.</summary>
public readonly record struct AcpiDeviceState
{
    /// <summary>The event selector: what has happened since the guest last asked.</summary>
    public uint Events { get; init; }
}
