using System.Runtime.CompilerServices;

namespace Kvm.Interop;

/// <summary>8 bytes.</summary>
[InlineArray(Length)]
public struct Byte8
{
    /// <summary>Number of elements.</summary>
    public const int Length = 8;

    private byte _element0;
}
