using System.Runtime.CompilerServices;

namespace Kvm.Interop;

/// <summary>Four 32-bit values.</summary>
[InlineArray(Length)]
public struct UInt32Array4
{
    /// <summary>Number of elements.</summary>
    public const int Length = 4;

    private uint _element0;
}
