using System.Runtime.CompilerServices;

namespace Kvm.Interop;

/// <summary>Four 64-bit values.</summary>
[InlineArray(Length)]
public struct UInt64Array4
{
    /// <summary>Number of elements.</summary>
    public const int Length = 4;

    private ulong _element0;
}
