namespace Vmm.Devices;

/// <summary>All of a <see cref="FwCfg"/>, at rest.</summary>
public readonly record struct FwCfgState
{
    /// <summary>Key of the item that is being read.</summary>
    public ushort Selected { get; init; }
    /// <summary>How much of it has been read, bytes.</summary>
    public uint Offset { get; init; }
    /// <summary>Upper half of the next transfer's address.</summary>
    public uint AddressHigh { get; init; }
}
