using System.Runtime.InteropServices;

namespace Kvm.Interop.Tests;

/// <summary>Structures as bytes, to compare all of them at once.</summary>
internal static class Bytes
{
    internal static byte[] Of<T>(T value) where T : unmanaged =>
        MemoryMarshal.AsBytes(new ReadOnlySpan<T>(ref value)).ToArray();

    /// <summary>A structure whose bytes are all different from their neighbours'.</summary>
    internal static T Pattern<T>() where T : unmanaged
    {
        T value = default;
        Span<byte> bytes = MemoryMarshal.AsBytes(new Span<T>(ref value));
        for (int i = 0; i < bytes.Length; i++) bytes[i] = (byte)(i * 7 + 1);
        return value;
    }
}
