namespace Kvm.Interop;

/// <summary>One virtual CPU: takes vCPU ioctls only, normally from the thread that runs it.</summary>
/// <param name="fd">The descriptor to own.</param>
public sealed class VcpuFd(int fd) : SafeFd(fd);
