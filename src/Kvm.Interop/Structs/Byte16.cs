using System.Runtime.CompilerServices;

namespace Kvm.Interop;

/// <summary>Sixteen unused bytes.</summary>
[InlineArray(Length)]
public struct Byte16
{
    /// <summary>Number of elements.</summary>
    public const int Length = 16;

    private byte _element0;
}
