using System.Runtime.CompilerServices;

namespace Kvm.Interop;

/// <summary>Sixteen 64-bit values.</summary>
[InlineArray(Length)]
public struct UInt64Array16
{
    /// <summary>Number of elements.</summary>
    public const int Length = 16;

    private ulong _element0;
}
