namespace Kvm.Interop;

/// <summary>/dev/kvm itself: takes system ioctls only (Documentation/virt/kvm/api.rst §2).</summary>
/// <param name="fd">The descriptor to own.</param>
public sealed class KvmFd(int fd) : SafeFd(fd);
