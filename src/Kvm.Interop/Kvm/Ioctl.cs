using System.Runtime.CompilerServices;

namespace Kvm.Interop;

/// <summary>
/// Builds ioctl request codes as asm-generic/ioctl.h does, from the payload's size: a wrong type is a wrong code.
/// </summary>
public static class Ioctl
{
    private const uint KvmType = 0xAE;
    private const int WriteBit = 1, ReadBit = 2;

    /// <summary>An ioctl whose argument is a plain number, or none: <c>_IO</c>.</summary>
    public static IoctlCall<TFd> Call<TFd>(uint number, [CallerMemberName] string name = "") where TFd : SafeFd =>
        new(Code(0, number, 0), name);

    /// <summary>An ioctl that fills a structure: <c>_IOR</c>.</summary>
    public static IoctlGet<TFd, T> Get<TFd, T>(uint number, [CallerMemberName] string name = "")
        where TFd : SafeFd where T : unmanaged => new(Code(ReadBit, number, Unsafe.SizeOf<T>()), name);

    /// <summary>An ioctl that takes a structure: <c>_IOW</c>.</summary>
    public static IoctlSet<TFd, T> Set<TFd, T>(uint number, [CallerMemberName] string name = "")
        where TFd : SafeFd where T : unmanaged => new(Code(WriteBit, number, Unsafe.SizeOf<T>()), name);

    /// <summary>
    /// An ioctl that takes a structure although the header declares it <c>_IOR</c> (KVM_SET_IRQCHIP).
    /// </summary>
    public static IoctlSet<TFd, T> SetDeclaredRead<TFd, T>(uint number, [CallerMemberName] string name = "")
        where TFd : SafeFd where T : unmanaged => new(Code(ReadBit, number, Unsafe.SizeOf<T>()), name);

    /// <summary>An ioctl that reads and fills a structure: <c>_IOWR</c>.</summary>
    public static IoctlExchange<TFd, T> Exchange<TFd, T>(uint number, [CallerMemberName] string name = "")
        where TFd : SafeFd where T : unmanaged => new(Code(ReadBit | WriteBit, number, Unsafe.SizeOf<T>()), name);

    private static nuint Code(int direction, uint number, int size) =>
        ((uint)direction << 30) | ((uint)size << 16) | (KvmType << 8) | number;
}
