using System.Runtime.CompilerServices;

namespace Kvm.Interop;

/// <summary>Nine 64-bit values.</summary>
[InlineArray(Length)]
public struct UInt64Array9
{
    /// <summary>Number of elements.</summary>
    public const int Length = 9;

    private ulong _element0;
}
