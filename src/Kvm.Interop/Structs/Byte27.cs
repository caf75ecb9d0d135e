using System.Runtime.CompilerServices;

namespace Kvm.Interop;

/// <summary>Twenty-seven unused bytes.</summary>
[InlineArray(Length)]
public struct Byte27
{
    /// <summary>Number of elements.</summary>
    public const int Length = 27;

    private byte _element0;
}
