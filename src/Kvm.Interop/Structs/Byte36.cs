using System.Runtime.CompilerServices;

namespace Kvm.Interop;

/// <summary>Thirty-six unused bytes.</summary>
[InlineArray(Length)]
public struct Byte36
{
    /// <summary>Number of elements.</summary>
    public const int Length = 36;

    private byte _element0;
}
