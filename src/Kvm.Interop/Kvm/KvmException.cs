namespace Kvm.Interop;

/// <summary>
/// A KVM ioctl failed. <see cref="LibcException.Call"/> is its name, for example <c>KVM_GET_SREGS</c>.
/// </summary>
/// <param name="ioctl">The ioctl's C name.</param>
/// <param name="errno">The errno it left.</param>
/// <param name="context">What it was about, or null.</param>
public sealed class KvmException(string ioctl, int errno, string? context = null)
    : LibcException(ioctl, errno, context);
