using System.Runtime.CompilerServices;

namespace Kvm.Interop;

/// <summary>512 bytes.</summary>
[InlineArray(Length)]
public struct Byte512
{
    /// <summary>Number of elements.</summary>
    public const int Length = 512;

    private byte _element0;
}
