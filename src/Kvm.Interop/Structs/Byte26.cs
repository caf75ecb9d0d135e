using System.Runtime.CompilerServices;

namespace Kvm.Interop;

/// <summary>Twenty-six unused bytes.</summary>
[InlineArray(Length)]
public struct Byte26
{
    /// <summary>Number of elements.</summary>
    public const int Length = 26;

    private byte _element0;
}
