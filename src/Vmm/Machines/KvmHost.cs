using Kvm.Interop;

namespace Vmm.Machines;

/// <summary>/dev/kvm, opened once a process: makes machines, and knows what this host's KVM offers them.</summary>
public sealed class KvmHost : IDisposable
{
    private const int ApiVersion = 12;
    private readonly KvmFd _kvm;
    private readonly Lazy<uint[]> _savedMsrs;

    private KvmHost(KvmFd kvm)
    {
        _kvm = kvm;
        RunPageSize = kvm.Call(KvmIoctls.KVM_GET_VCPU_MMAP_SIZE);
        SupportedCpuid = KvmQueries.SupportedCpuid(kvm);
        _savedMsrs = new Lazy<uint[]>(() => SavedMsrList.Discover(this));
    }

    /// <summary>Size of the page a vCPU shares with the kernel, bytes.</summary>
    public int RunPageSize { get; }

    /// <summary>The MSRs that make up a vCPU's state here: those KVM lists, and lets be read and written back.</summary>
    public ReadOnlySpan<uint> SavedMsrs => _savedMsrs.Value;

    /// <summary>What KVM_GET_SUPPORTED_CPUID answers.</summary>
    internal KvmCpuidEntry2[] SupportedCpuid { get; }

    /// <summary>Opens a KVM device.</summary>
    /// <param name="path">Normally /dev/kvm.</param>
    /// <exception cref="LibcException">It is missing or not permitted.</exception>
    /// <exception cref="NotSupportedException">It is not the stable KVM API.</exception>
    public static KvmHost Open(string path = "/dev/kvm")
    {
        int fd = Libc.open(path, Libc.O_RDWR | Libc.O_CLOEXEC, 0);
        if (fd < 0) throw LibcException.FromLastError("open", path);
        KvmFd kvm = new(fd);
        try
        {
            int version = kvm.Call(KvmIoctls.KVM_GET_API_VERSION);
            if (version != ApiVersion) throw new NotSupportedException($"{path} speaks KVM API {version}, not {ApiVersion}");
            _ = KickSignal.Number; // installs the handler now: the first kick belongs into a pause
            return new KvmHost(kvm);
        }
        catch
        {
            kvm.Dispose();
            throw;
        }
    }

    /// <summary>KVM_CHECK_EXTENSION.</summary>
    /// <returns>0 where the host lacks it; what else a value means depends on the capability.</returns>
    public int Check(KvmCap capability) => _kvm.Call(KvmIoctls.KVM_CHECK_EXTENSION, (nuint)capability);

    /// <summary>Closes the device. Machines made from it live on.</summary>
    public void Dispose() => _kvm.Dispose();

    internal VmFd CreateVm() => new(_kvm.Call(KvmIoctls.KVM_CREATE_VM));

    internal uint[] ReadMsrIndexList() => KvmQueries.MsrIndexList(_kvm);
}
