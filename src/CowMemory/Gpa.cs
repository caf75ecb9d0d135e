namespace CowMemory;

/// <summary>A guest-physical address. Distinct from host addresses and from plain numbers on purpose.</summary>
/// <param name="Value">The address.</param>
public readonly record struct Gpa(ulong Value)
{
    /// <summary>Advances an address.</summary>
    /// <exception cref="OverflowException">The result does not fit.</exception>
    public static Gpa operator +(Gpa address, ulong bytes) => new(checked(address.Value + bytes));

    /// <inheritdoc/>
    public override string ToString() => $"0x{Value:x}";
}
