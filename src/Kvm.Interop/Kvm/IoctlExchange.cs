namespace Kvm.Interop;

/// <summary>An ioctl that reads a structure and writes it back.</summary>
/// <typeparam name="TFd">The kind of descriptor it is for.</typeparam>
/// <typeparam name="T">Its payload; for array payloads, the header.</typeparam>
/// <param name="Code">The request code.</param>
/// <param name="Name">Its C name, for error messages.</param>
public readonly record struct IoctlExchange<TFd, T>(nuint Code, string Name) where TFd : SafeFd where T : unmanaged;
