using System.Runtime.CompilerServices;

namespace Kvm.Interop;

/// <summary>Fifteen 32-bit values.</summary>
[InlineArray(Length)]
public struct UInt32Array15
{
    /// <summary>Number of elements.</summary>
    public const int Length = 15;

    private uint _element0;
}
