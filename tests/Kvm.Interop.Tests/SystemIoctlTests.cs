using TestKit.Guests;
using Xunit;

namespace Kvm.Interop.Tests;

/// <summary>The ioctls of /dev/kvm itself.</summary>
public sealed class SystemIoctlTests : IDisposable
{
    private readonly KvmFd _kvm = BareVm.OpenKvm();

    public void Dispose() => _kvm.Dispose();

    [Fact, Trait("ioctl", "KVM_GET_API_VERSION")]
    public void The_api_is_version_12() => Assert.Equal(12, _kvm.Call(KvmIoctls.KVM_GET_API_VERSION));

    [Fact, Trait("ioctl", "KVM_CREATE_VM")]
    public void A_vm_is_a_new_descriptor()
    {
        using VmFd first = new(_kvm.Call(KvmIoctls.KVM_CREATE_VM));
        using VmFd second = new(_kvm.Call(KvmIoctls.KVM_CREATE_VM));
        Assert.NotEqual(first.Fd, second.Fd);
        KvmException e = Assert.Throws<KvmException>(() => _kvm.Call(KvmIoctls.KVM_CREATE_VM, argument: 0xFFFF));
        Assert.Equal(("KVM_CREATE_VM", Libc.EINVAL), (e.Call, e.Errno));
    }

    [Fact, Trait("ioctl", "KVM_CHECK_EXTENSION")]
    public void Extensions_are_there_or_zero()
    {
        Assert.NotEqual(0, _kvm.Call(KvmIoctls.KVM_CHECK_EXTENSION, (nuint)KvmCap.UserMemory));
        Assert.True(_kvm.Call(KvmIoctls.KVM_CHECK_EXTENSION, (nuint)KvmCap.NrMemslots) >= 32);
        Assert.Equal(0, _kvm.Call(KvmIoctls.KVM_CHECK_EXTENSION, 0x7FFF_0000));
    }

    [Fact, Trait("ioctl", "KVM_GET_VCPU_MMAP_SIZE")]
    public void The_shared_area_holds_kvm_run_and_a_page_of_port_data()
    {
        int size = _kvm.Call(KvmIoctls.KVM_GET_VCPU_MMAP_SIZE);
        Assert.Equal(0, size % 4096);
        Assert.True(size >= 2 * 4096);
    }

    [Fact, Trait("ioctl", "KVM_GET_SUPPORTED_CPUID")]
    public void Supported_cpuid_is_the_same_however_small_the_buffer_begins()
    {
        KvmCpuidEntry2[] leaves = KvmQueries.SupportedCpuid(_kvm);
        Assert.True(leaves.Length > 8);
        Assert.Contains(leaves, l => l.Function == 0 && l.Eax >= 1);
        Assert.Contains(leaves, l => l.Function == 0x8000_0001);
        Assert.Equal(leaves.Length, KvmQueries.SupportedCpuid(_kvm, capacity: 1).Length);

        using FamBuffer<KvmCpuid2, KvmCpuidEntry2> tooSmall = new(1);
        tooSmall.Header.Count = 1;
        KvmException e = Assert.Throws<KvmException>(() => _kvm.Exchange(KvmIoctls.KVM_GET_SUPPORTED_CPUID, tooSmall));
        Assert.Equal(("KVM_GET_SUPPORTED_CPUID", Libc.E2BIG), (e.Call, e.Errno));
    }

    [Fact, Trait("ioctl", "KVM_GET_MSR_INDEX_LIST")]
    public void The_msr_list_is_the_same_however_small_the_buffer_begins()
    {
        const uint Tsc = 0x10, Lstar = 0xC000_0082;
        uint[] msrs = KvmQueries.MsrIndexList(_kvm);
        Assert.Contains(Tsc, msrs);
        Assert.Contains(Lstar, msrs);
        Assert.Equal(msrs, KvmQueries.MsrIndexList(_kvm, capacity: 1));

        using FamBuffer<KvmMsrList, uint> tooSmall = new(1);
        tooSmall.Header.Count = 1;
        KvmException e = Assert.Throws<KvmException>(() => _kvm.Exchange(KvmIoctls.KVM_GET_MSR_INDEX_LIST, tooSmall));
        Assert.Equal(("KVM_GET_MSR_INDEX_LIST", Libc.E2BIG), (e.Call, e.Errno));
        Assert.Equal(msrs.Length, (int)tooSmall.Header.Count); // the kernel says how many it would have been
    }

    [Fact]
    public void An_ioctl_on_something_else_fails_under_its_name()
    {
        using KvmFd notKvm = new(Libc.open("/dev/null", Libc.O_RDWR | Libc.O_CLOEXEC, 0));
        KvmException e = Assert.Throws<KvmException>(() => notKvm.Call(KvmIoctls.KVM_GET_API_VERSION));
        Assert.Equal(("KVM_GET_API_VERSION", 25 /* ENOTTY */), (e.Call, e.Errno));
        Assert.Contains("KVM_GET_API_VERSION", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void An_ioctl_on_a_closed_descriptor_is_an_error_here_and_never_reaches_the_kernel()
    {
        KvmFd closed = BareVm.OpenKvm();
        closed.Dispose();
        Assert.Throws<ObjectDisposedException>(() => closed.Call(KvmIoctls.KVM_GET_API_VERSION));
    }

    [Fact]
    public void An_array_buffer_refuses_access_once_freed()
    {
        FamBuffer<KvmMsrs, KvmMsrEntry> buffer = new(2);
        buffer.Dispose();
        buffer.Dispose();
        Assert.Throws<ObjectDisposedException>(() => buffer.Header.Count = 1);
        Assert.Throws<ObjectDisposedException>(() => buffer.Entries.Length);
        Assert.Throws<ArgumentOutOfRangeException>(() => new FamBuffer<KvmMsrs, KvmMsrEntry>(-1));
    }
}
