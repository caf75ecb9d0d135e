using Kvm.Interop;

namespace Vmm.HostCheck;

/// <summary>
/// Finds out what this host can do, by trying: nothing is concluded from a CPU flag or a module's name. The micro-guests run
/// in a small VM of their own. One that hangs is stopped after ten seconds; unless it only sleeps, no other is tried then.
/// </summary>
public static class HostProbe
{
    private const int ApiVersion = 12;
    private const string Rig =
        "use a host with hardware virtualization (VT-x or AMD-V; a virtual machine with nested virtualization will do), " +
        "or run inside the emulated machine: scripts/rig run -- COMMAND";

    private static readonly Func<ProbeMachine, HostCheckResult>[] s_decisive =
        [MicroChecks.SystemCalls, MicroChecks.Instructions, MicroChecks.Interrupts, MicroChecks.Notifications];

    /// <summary>Everything, for <c>bgkvm doctor</c>. About 60 ms where all is well.</summary>
    /// <param name="device">Normally /dev/kvm.</param>
    /// <returns>Never throws for what a host may lack: that is what the report says.</returns>
    public static HostReport Run(string device = "/dev/kvm") => Run(device, quick: false);

    /// <summary>
    /// All that decides the verdict, and no more, for <c>bgkvm start</c>: no speed measurement, no facts. A few milliseconds.
    /// </summary>
    /// <inheritdoc cref="Run(string)"/>
    public static HostReport RunQuick(string device = "/dev/kvm") => Run(device, quick: true);

    private static HostReport Run(string device, bool quick)
    {
        HostFacts facts = HostFacts.Read();
        List<HostCheckResult> checks = [];
        try
        {
            TryKvm(device, quick, checks);
        }
        catch (LibcException e)
        {
            checks.Add(new HostCheckResult("virtual machine", CheckStatus.Fail, e.Message, e.Errno == Libc.EBUSY
                ? "another hypervisor may hold the CPU's virtualization: stop it"
                : "see the kernel's log (dmesg) for what KVM says about it"));
        }

        if (!quick) AddHostChecks(facts, checks);
        return new HostReport(Conclude(device, facts, checks), checks, quick ? null : facts);
    }

    private static void TryKvm(string device, bool quick, List<HostCheckResult> checks)
    {
        int fd = Libc.open(device, Libc.O_RDWR | Libc.O_CLOEXEC, 0);
        if (fd < 0)
        {
            checks.Add(DeviceError(device, LibcException.FromLastError("open", device)));
            return;
        }

        using KvmFd kvm = new(fd);
        checks.Add(CheckApi(device, kvm));
        if (checks[^1].Status == CheckStatus.Fail) return;
        checks.Add(Capabilities.Check(kvm));
        if (checks[^1].Status == CheckStatus.Fail) return;
        using ProbeMachine machine = new(kvm);
        if (!quick) checks.Add(MicroChecks.Ring0Speed(machine));
        foreach (Func<ProbeMachine, HostCheckResult> check in s_decisive)
        {
            if (machine.Hung) return;
            checks.Add(check(machine));
        }
    }

    /// <summary>What it means that the device cannot be opened.</summary>
    internal static HostCheckResult DeviceError(string device, LibcException error) => error.Errno switch
    {
        Libc.ENOENT => new HostCheckResult(device, CheckStatus.Fail, "does not exist",
            "load the kernel's module (modprobe kvm-intel or kvm-amd) after turning virtualization on in the firmware; else " + Rig),
        Libc.EACCES => new HostCheckResult(device, CheckStatus.Fail, "this user may not open it",
            "join its group (sudo usermod -aG kvm $USER, then log in again), or use sudo"),
        _ => new HostCheckResult(device, CheckStatus.Fail, error.Message, Rig),
    };

    private static HostCheckResult CheckApi(string device, KvmFd kvm)
    {
        try
        {
            int version = kvm.Call(KvmIoctls.KVM_GET_API_VERSION);
            return version == ApiVersion
                ? new HostCheckResult(device, CheckStatus.Ok, $"opens, KVM API {version}")
                : new HostCheckResult(device, CheckStatus.Fail, $"speaks KVM API {version}, not {ApiVersion}", Rig);
        }
        catch (KvmException)
        {
            return new HostCheckResult(device, CheckStatus.Fail, "opens, but is no KVM device", Rig);
        }
    }

    private static void AddHostChecks(HostFacts facts, List<HostCheckResult> checks)
    {
        checks.Add(facts.HardwareVirtualization is string flag
            ? new HostCheckResult("CPU", CheckStatus.Ok, $"{facts.CpuModel}, {facts.CpuCount} CPUs, {flag}")
            : new HostCheckResult("CPU", CheckStatus.Warn,
                $"{facts.CpuModel}, {facts.CpuCount} CPUs, neither vmx nor svm in /proc/cpuinfo", Rig));
        checks.Add(facts.CpuCount > 1
            ? new HostCheckResult("spare CPU", CheckStatus.Ok, "a shadow can boot beside the instance")
            : new HostCheckResult("spare CPU", CheckStatus.Warn, "with one CPU a background reboot takes turns with the instance",
                "give this host a second CPU"));
        checks.Add(facts.Cgroups is string cgroups && cgroups.Contains("cpu")
            ? new HostCheckResult("idle scheduling", CheckStatus.Ok, $"cgroup {cgroups}")
            : new HostCheckResult("idle scheduling", CheckStatus.Warn, facts.Cgroups is null ? "no cgroups" : $"cgroup {facts.Cgroups}",
                "without a cpu cgroup a shadow runs at the lowest ordinary priority (nice 19)"));
        checks.Add(new HostCheckResult("memory", CheckStatus.Ok,
            $"{facts.MemoryAvailableMiB} of {facts.MemoryTotalMiB} MiB free; a background reboot can take up to three times the guest's"));
    }

    private static HostVerdict Conclude(string device, HostFacts facts, List<HostCheckResult> checks)
    {
        HostCheckResult? failed = checks.FirstOrDefault(c => c.Status == CheckStatus.Fail);
        if (failed is null) return new HostVerdict(true, $"Linux can run here: everything it needs of {device} works.", null);
        // Whatever a micro-guest fails on where the CPU has no virtualization, the cause is that KVM is a software one.
        bool software = facts.HardwareVirtualization is null && failed.Name != device && failed.Name != Capabilities.Name;
        string reason = software
            ? $"Linux cannot run here: {device} is a software KVM (no vmx or svm in /proc/cpuinfo) on which {failed.Detail}."
            : $"Linux cannot run here: {failed.Name}: {failed.Detail}.";
        return new HostVerdict(false, reason, failed.Remedy ?? Rig);
    }
}
