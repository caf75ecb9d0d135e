namespace CowMemory;

/// <summary>A contiguous run of guest memory.</summary>
/// <param name="Start">First guest-physical address, page-aligned.</param>
/// <param name="Length">Bytes, a multiple of the page size.</param>
/// <param name="FileOffset">Where it lies in the memory file, bytes.</param>
public readonly record struct GuestRegion(Gpa Start, ulong Length, ulong FileOffset)
{
    /// <summary>
    /// Whether the whole range lies inside. Subtraction form: cannot overflow whatever the guest asks for.
    /// </summary>
    public bool Contains(Gpa address, ulong length) =>
        address.Value >= Start.Value
        && address.Value - Start.Value <= Length
        && length <= Length - (address.Value - Start.Value);
}
