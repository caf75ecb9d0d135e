using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Kvm.Interop;

/// <summary>
/// A C structure that ends in a flexible array member: a header and a number of entries, in native memory.
/// </summary>
/// <typeparam name="THeader">The structure without the array.</typeparam>
/// <typeparam name="TEntry">The array's element.</typeparam>
public sealed unsafe class FamBuffer<THeader, TEntry> : IDisposable where THeader : unmanaged where TEntry : unmanaged
{
    private byte* _memory;

    /// <summary>Allocates one, all zeros.</summary>
    /// <param name="capacity">Number of entries, at least 0.</param>
    public FamBuffer(int capacity)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(capacity);
        Capacity = capacity;
        _memory = (byte*)NativeMemory.AllocZeroed((nuint)(sizeof(THeader) + (capacity * sizeof(TEntry))));
    }

    /// <summary>Number of entries there is room for. The header's own count field says how many are used.</summary>
    public int Capacity { get; }

    /// <summary>The header.</summary>
    public ref THeader Header => ref Unsafe.AsRef<THeader>(Live());

    /// <summary>All entries.</summary>
    public Span<TEntry> Entries => new(Live() + sizeof(THeader), Capacity);

    internal byte* Pointer => Live();

    /// <summary>Frees the memory.</summary>
    public void Dispose()
    {
        NativeMemory.Free(_memory);
        _memory = null;
    }

    // SAFETY: every access goes through here, so none reaches freed memory.
    private byte* Live() => _memory != null ? _memory : throw new ObjectDisposedException(nameof(FamBuffer<,>));
}
