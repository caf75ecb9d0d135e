namespace Kvm.Interop;

/// <summary>One KVM virtual machine: takes VM ioctls only, from the process that created it.</summary>
/// <param name="fd">The descriptor to own.</param>
public sealed class VmFd(int fd) : SafeFd(fd);
