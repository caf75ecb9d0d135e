using System.Runtime.CompilerServices;

namespace Kvm.Interop;

/// <summary>64 bytes.</summary>
[InlineArray(Length)]
public struct Byte64
{
    /// <summary>Number of elements.</summary>
    public const int Length = 64;

    private byte _element0;
}
