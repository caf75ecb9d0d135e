using System.Runtime.CompilerServices;

namespace Kvm.Interop;

/// <summary>The three channels.</summary>
[InlineArray(Length)]
public struct KvmPitChannelArray3
{
    /// <summary>Number of elements.</summary>
    public const int Length = 3;

    private KvmPitChannelState _element0;
}
