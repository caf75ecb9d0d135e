using System.Runtime.CompilerServices;

namespace Kvm.Interop;

/// <summary>Sixteen extended control registers.</summary>
[InlineArray(Length)]
public struct KvmXcrArray16
{
    /// <summary>Number of elements.</summary>
    public const int Length = 16;

    private KvmXcr _element0;
}
