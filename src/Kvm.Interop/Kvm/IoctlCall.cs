namespace Kvm.Interop;

/// <summary>An ioctl that takes a number or nothing.</summary>
/// <typeparam name="TFd">The kind of descriptor it is for.</typeparam>
/// <param name="Code">The request code.</param>
/// <param name="Name">Its C name, for error messages.</param>
public readonly record struct IoctlCall<TFd>(nuint Code, string Name) where TFd : SafeFd;
