using System.Runtime.CompilerServices;

namespace Kvm.Interop;

/// <summary>C <c>struct kvm_xsave</c> (linux/kvm.h): the XSAVE area, standard format.</summary>
[InlineArray(Length)]
public struct KvmXsave
{
    /// <summary>Number of elements.</summary>
    public const int Length = 4096;

    private byte _element0;
}
