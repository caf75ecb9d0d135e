namespace Vmm.Devices;

/// <summary>All of a <see cref="ResetRegister"/>, at rest.</summary>
public readonly record struct ResetRegisterState
{
    /// <summary>The register, as last written.</summary>
    public byte Value { get; init; }
}
