#pragma warning disable CS1591 // the names are the kernel's, and api.rst §4 documents each under its name

namespace Kvm.Interop;

/// <summary>The KVM ioctls in use, under their C names (linux/kvm.h; Documentation/virt/kvm/api.rst §4).</summary>
/// <remarks>KVM_RUN is not among them: <see cref="KvmRun.Enter"/> issues it, because EINTR is not an error
/// there.</remarks>
public static class KvmIoctls
{
    // System
    public static readonly IoctlCall<KvmFd> KVM_GET_API_VERSION = Ioctl.Call<KvmFd>(0x00);
    public static readonly IoctlCall<KvmFd> KVM_CREATE_VM = Ioctl.Call<KvmFd>(0x01);
    public static readonly IoctlExchange<KvmFd, KvmMsrList> KVM_GET_MSR_INDEX_LIST =
        Ioctl.Exchange<KvmFd, KvmMsrList>(0x02);
    public static readonly IoctlCall<KvmFd> KVM_CHECK_EXTENSION = Ioctl.Call<KvmFd>(0x03);
    public static readonly IoctlCall<KvmFd> KVM_GET_VCPU_MMAP_SIZE = Ioctl.Call<KvmFd>(0x04);
    public static readonly IoctlExchange<KvmFd, KvmCpuid2> KVM_GET_SUPPORTED_CPUID =
        Ioctl.Exchange<KvmFd, KvmCpuid2>(0x05);

    // VM
    public static readonly IoctlCall<VmFd> KVM_CREATE_VCPU = Ioctl.Call<VmFd>(0x41);
    public static readonly IoctlSet<VmFd, KvmDirtyLog> KVM_GET_DIRTY_LOG = Ioctl.Set<VmFd, KvmDirtyLog>(0x42);
    public static readonly IoctlSet<VmFd, KvmUserspaceMemoryRegion> KVM_SET_USER_MEMORY_REGION =
        Ioctl.Set<VmFd, KvmUserspaceMemoryRegion>(0x46);
    public static readonly IoctlCall<VmFd> KVM_SET_TSS_ADDR = Ioctl.Call<VmFd>(0x47);
    public static readonly IoctlSet<VmFd, ulong> KVM_SET_IDENTITY_MAP_ADDR = Ioctl.Set<VmFd, ulong>(0x48);
    public static readonly IoctlCall<VmFd> KVM_CREATE_IRQCHIP = Ioctl.Call<VmFd>(0x60);
    public static readonly IoctlSet<VmFd, KvmIrqLevel> KVM_IRQ_LINE = Ioctl.Set<VmFd, KvmIrqLevel>(0x61);
    public static readonly IoctlExchange<VmFd, KvmIrqchip> KVM_GET_IRQCHIP = Ioctl.Exchange<VmFd, KvmIrqchip>(0x62);
    public static readonly IoctlSet<VmFd, KvmIrqchip> KVM_SET_IRQCHIP = Ioctl.SetDeclaredRead<VmFd, KvmIrqchip>(0x63);
    public static readonly IoctlSet<VmFd, KvmIrqfd> KVM_IRQFD = Ioctl.Set<VmFd, KvmIrqfd>(0x76);
    public static readonly IoctlSet<VmFd, KvmPitConfig> KVM_CREATE_PIT2 = Ioctl.Set<VmFd, KvmPitConfig>(0x77);
    public static readonly IoctlSet<VmFd, KvmIoeventfd> KVM_IOEVENTFD = Ioctl.Set<VmFd, KvmIoeventfd>(0x79);
    public static readonly IoctlSet<VmFd, KvmClockData> KVM_SET_CLOCK = Ioctl.Set<VmFd, KvmClockData>(0x7b);
    public static readonly IoctlGet<VmFd, KvmClockData> KVM_GET_CLOCK = Ioctl.Get<VmFd, KvmClockData>(0x7c);
    public static readonly IoctlGet<VmFd, KvmPitState2> KVM_GET_PIT2 = Ioctl.Get<VmFd, KvmPitState2>(0x9f);
    public static readonly IoctlSet<VmFd, KvmPitState2> KVM_SET_PIT2 = Ioctl.Set<VmFd, KvmPitState2>(0xa0);

    public static readonly IoctlSet<VmFd, KvmEnableCap> KVM_ENABLE_CAP = Ioctl.Set<VmFd, KvmEnableCap>(0xa3);

    // vCPU
    public static readonly IoctlGet<VcpuFd, KvmRegs> KVM_GET_REGS = Ioctl.Get<VcpuFd, KvmRegs>(0x81);
    public static readonly IoctlSet<VcpuFd, KvmRegs> KVM_SET_REGS = Ioctl.Set<VcpuFd, KvmRegs>(0x82);
    public static readonly IoctlGet<VcpuFd, KvmSregs> KVM_GET_SREGS = Ioctl.Get<VcpuFd, KvmSregs>(0x83);
    public static readonly IoctlSet<VcpuFd, KvmSregs> KVM_SET_SREGS = Ioctl.Set<VcpuFd, KvmSregs>(0x84);
    public static readonly IoctlExchange<VcpuFd, KvmMsrs> KVM_GET_MSRS = Ioctl.Exchange<VcpuFd, KvmMsrs>(0x88);
    public static readonly IoctlSet<VcpuFd, KvmMsrs> KVM_SET_MSRS = Ioctl.Set<VcpuFd, KvmMsrs>(0x89);
    public static readonly IoctlSet<VcpuFd, KvmSignalMask> KVM_SET_SIGNAL_MASK = Ioctl.Set<VcpuFd, KvmSignalMask>(0x8b);
    public static readonly IoctlGet<VcpuFd, KvmLapicState> KVM_GET_LAPIC = Ioctl.Get<VcpuFd, KvmLapicState>(0x8e);
    public static readonly IoctlSet<VcpuFd, KvmLapicState> KVM_SET_LAPIC = Ioctl.Set<VcpuFd, KvmLapicState>(0x8f);
    public static readonly IoctlSet<VcpuFd, KvmCpuid2> KVM_SET_CPUID2 = Ioctl.Set<VcpuFd, KvmCpuid2>(0x90);
    public static readonly IoctlGet<VcpuFd, KvmMpState> KVM_GET_MP_STATE = Ioctl.Get<VcpuFd, KvmMpState>(0x98);
    public static readonly IoctlSet<VcpuFd, KvmMpState> KVM_SET_MP_STATE = Ioctl.Set<VcpuFd, KvmMpState>(0x99);
    public static readonly IoctlGet<VcpuFd, KvmVcpuEvents> KVM_GET_VCPU_EVENTS = Ioctl.Get<VcpuFd, KvmVcpuEvents>(0x9f);
    public static readonly IoctlSet<VcpuFd, KvmVcpuEvents> KVM_SET_VCPU_EVENTS = Ioctl.Set<VcpuFd, KvmVcpuEvents>(0xa0);
    public static readonly IoctlGet<VcpuFd, KvmDebugRegs> KVM_GET_DEBUGREGS = Ioctl.Get<VcpuFd, KvmDebugRegs>(0xa1);
    public static readonly IoctlSet<VcpuFd, KvmDebugRegs> KVM_SET_DEBUGREGS = Ioctl.Set<VcpuFd, KvmDebugRegs>(0xa2);
    public static readonly IoctlGet<VcpuFd, KvmXsave> KVM_GET_XSAVE = Ioctl.Get<VcpuFd, KvmXsave>(0xa4);
    public static readonly IoctlSet<VcpuFd, KvmXsave> KVM_SET_XSAVE = Ioctl.Set<VcpuFd, KvmXsave>(0xa5);
    public static readonly IoctlGet<VcpuFd, KvmXcrs> KVM_GET_XCRS = Ioctl.Get<VcpuFd, KvmXcrs>(0xa6);
    public static readonly IoctlSet<VcpuFd, KvmXcrs> KVM_SET_XCRS = Ioctl.Set<VcpuFd, KvmXcrs>(0xa7);
    public static readonly IoctlGet<VcpuFd, KvmSregs2> KVM_GET_SREGS2 = Ioctl.Get<VcpuFd, KvmSregs2>(0xcc);
    public static readonly IoctlSet<VcpuFd, KvmSregs2> KVM_SET_SREGS2 = Ioctl.Set<VcpuFd, KvmSregs2>(0xcd);
    public static readonly IoctlCall<VcpuFd> KVM_KVMCLOCK_CTRL = Ioctl.Call<VcpuFd>(0xad);
    public static readonly IoctlSet<VcpuFd, KvmDeviceAttr> KVM_SET_DEVICE_ATTR = Ioctl.Set<VcpuFd, KvmDeviceAttr>(0xe1);
    public static readonly IoctlSet<VcpuFd, KvmDeviceAttr> KVM_GET_DEVICE_ATTR = Ioctl.Set<VcpuFd, KvmDeviceAttr>(0xe2);
    public static readonly IoctlSet<VcpuFd, KvmDeviceAttr> KVM_HAS_DEVICE_ATTR = Ioctl.Set<VcpuFd, KvmDeviceAttr>(0xe3);
}
