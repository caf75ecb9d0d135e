using System.Runtime.InteropServices;

namespace Kvm.Interop;

/// <summary>C <c>struct iovec</c> (sys/uio.h): a run of host memory, not owned.</summary>
/// <param name="Base">Host address of the first byte.</param>
/// <param name="Length">Length in bytes.</param>
[StructLayout(LayoutKind.Sequential)]
public readonly record struct IoVec(nint Base, nuint Length);
