namespace CowMemory;

/// <summary>
/// The monitor itself asked for guest memory that does not exist. Guest-supplied addresses use the Try methods instead.
/// </summary>
/// <param name="address">Where.</param>
/// <param name="length">How much, in bytes.</param>
public sealed class GuestMemoryException(Gpa address, ulong length)
    : InvalidOperationException($"No guest memory at {address}, {length} bytes");
