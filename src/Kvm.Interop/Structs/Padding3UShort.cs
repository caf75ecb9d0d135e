using System.Runtime.CompilerServices;

namespace Kvm.Interop;

/// <summary>Three unused 16-bit fields.</summary>
[InlineArray(Length)]
public struct Padding3UShort
{
    /// <summary>Number of elements.</summary>
    public const int Length = 3;

    private ushort _element0;
}
