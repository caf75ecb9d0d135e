using System.Runtime.CompilerServices;

namespace Kvm.Interop;

/// <summary>Three 32-bit values.</summary>
[InlineArray(Length)]
public struct UInt32Array3
{
    /// <summary>Number of elements.</summary>
    public const int Length = 3;

    private uint _element0;
}
