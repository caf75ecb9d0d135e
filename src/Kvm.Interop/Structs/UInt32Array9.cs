using System.Runtime.CompilerServices;

namespace Kvm.Interop;

/// <summary>Nine 32-bit values.</summary>
[InlineArray(Length)]
public struct UInt32Array9
{
    /// <summary>Number of elements.</summary>
    public const int Length = 9;

    private uint _element0;
}
