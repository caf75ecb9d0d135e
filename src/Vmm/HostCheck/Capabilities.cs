using Kvm.Interop;

namespace Vmm.HostCheck;

/// <summary>The KVM capabilities that bgkvm builds on, each with what it is for.</summary>
internal static class Capabilities
{
    /// <summary>The check's name.</summary>
    internal const string Name = "KVM capabilities";

    // Not among them: KVM_CAP_XCRS. A CPU without XSAVE has no extended control registers to save.
    private static readonly (KvmCap Cap, string For)[] s_required =
    [
        (KvmCap.UserMemory, "guest memory"),
        (KvmCap.DestroyMemoryRegionWorks, "taking guest memory away again"),
        (KvmCap.SetTssAddr, "real mode on Intel CPUs"),
        (KvmCap.SetIdentityMapAddr, "real mode on Intel CPUs"),
        (KvmCap.ExtCpuid, "telling the guest what CPU it has"),
        (KvmCap.Irqchip, "interrupt controllers in the kernel"),
        (KvmCap.Pit2, "the timer that Linux calibrates with"),
        (KvmCap.Irqfd, "device interrupts without a system call to KVM"),
        (KvmCap.Ioeventfd, "device notifications without an exit to user space"),
        (KvmCap.ImmediateExit, "stopping a vCPU at once"),
        (KvmCap.MpState, "saving whether a vCPU runs or halts"),
        (KvmCap.VcpuEvents, "saving pending interrupts and exceptions"),
        (KvmCap.Debugregs, "saving debug registers"),
        (KvmCap.Xsave, "saving FPU and vector registers"),
        (KvmCap.AdjustClock, "moving the guest's clock from one machine to the next"),
    ];

    private static readonly (KvmCap Cap, string For)[] s_useful =
    [
        (KvmCap.VcpuAttributes, "the guest's TSC goes on across a switch instead of being set back"),
        (KvmCap.TscDeadlineTimer, "cheaper timer interrupts"),
        (KvmCap.KvmclockCtrl, "the guest's lockup watchdog is told of pauses"),
    ];

    /// <summary>Looks for all of them.</summary>
    internal static HostCheckResult Check(KvmFd kvm)
    {
        string[] missing = Missing(kvm, s_required), lacking = Missing(kvm, s_useful);
        if (missing.Length > 0)
        {
            return new HostCheckResult(Name, CheckStatus.Fail, $"missing: {string.Join(", ", missing)}",
                "use a kernel of version 5.10 or later with its kvm-intel or kvm-amd module");
        }

        return lacking.Length > 0
            ? new HostCheckResult(Name, CheckStatus.Warn, $"not there: {string.Join(", ", lacking)}",
                "a newer host kernel has them; bgkvm works without")
            : new HostCheckResult(Name, CheckStatus.Ok, $"all {s_required.Length + s_useful.Length} are there");
    }

    private static string[] Missing(KvmFd kvm, (KvmCap Cap, string For)[] wanted) =>
        [.. wanted.Where(w => kvm.Call(KvmIoctls.KVM_CHECK_EXTENSION, (nuint)w.Cap) == 0).Select(w => $"{w.Cap} ({w.For})")];
}
