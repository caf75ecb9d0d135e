using Cloning.Instances;
using TestKit.Guests;
using static Cloning.Tests.Faults.FaultOutcome;

namespace Cloning.Tests.Faults;

/// <summary>What can go wrong with a background reboot, step by step. The table of docs/failures.md is made from this list.</summary>
internal static class FaultList
{
    public static IReadOnlyList<Fault> All { get; } =
    [
        new("no-space", RebootPhase.Prepare, "the host has no disk space for overlays", "the file system is full",
            Refused, "no space for overlays", scene => scene.Hold(HostFaults.Fill(scene.Home))) { OnSmallDisk = true },
        new("read-only-folder", RebootPhase.Prepare, "the instance's folder cannot be written", "chattr +i",
            Aborted, "manifest.json", scene => scene.Hold(HostFaults.Petrify(scene.Home))),
        new("read-only-layers", RebootPhase.Prepare, "no overlay can be made", "chattr +i on the folder of layers",
            Aborted, "layers", scene => scene.Hold(HostFaults.Petrify(scene.Layers))),
        new("stop-prepare", RebootPhase.Prepare, "the instance is stopped", "stop", Stopped, "stopped", scene => scene.Stop()),

        new("kill-fork", RebootPhase.Fork, "the shadow is killed", "SIGKILL", Aborted, "shadow process", scene => HostFaults.Kill(scene.Shadow)),
        new("hang-fork", RebootPhase.Fork, "the shadow hangs", "SIGSTOP", Aborted, "did not begin within",
            scene => HostFaults.Suspend(scene.Shadow)) { TimeoutSeconds = 20 },
        new("reset-fork", RebootPhase.Fork, "the guest reboots itself", "reset by its keyboard controller",
            GuestReboots, "guest ended", scene => scene.ResetGuest()),
        new("stop-fork", RebootPhase.Fork, "the instance is stopped", "stop", Stopped, "stopped", scene => scene.Stop()),
        new("read-only-fork", RebootPhase.Fork, "the shadow cannot be started and nothing can be undone",
            "SIGKILL, and chattr +i on the instance's folder", Aborted, "shadow process",
            scene =>
            {
                HostFaults.Kill(scene.Shadow);
                scene.Hold(HostFaults.Petrify(scene.Home));
            }),

        new("kill-shutdown", RebootPhase.ShutDown, "the shadow is killed", "SIGKILL", Aborted, "shadow process",
            scene => HostFaults.Kill(scene.Shadow)),
        new("hang-shutdown", RebootPhase.ShutDown, "the shadow hangs", "SIGSTOP", Aborted, "not ready within",
            scene => HostFaults.Suspend(scene.Shadow)) { TimeoutSeconds = 20 },
        new("oom-shutdown", RebootPhase.ShutDown, "the host has no memory for the shadow", "memory cgroup of 1 MiB, OOM killer",
            Aborted, "shadow process", scene => scene.Hold(HostFaults.Starve(scene.Shadow))),
        new("no-mappings", RebootPhase.ShutDown, "the shadow gets no further memory", "RLIMIT_AS", Aborted, "",
            scene => HostFaults.ForbidMappings(scene.Shadow)),
        new("kernel-gone", RebootPhase.ShutDown, "the new kernel's file vanishes", "unlink", Aborted, "kernel",
            scene => File.Delete(scene.Guest.Config.Kernel!)),
        new("kernel-rubbish", RebootPhase.ShutDown, "the new kernel is none", "overwritten with zeros", Aborted, "kernel",
            scene => File.WriteAllBytes(scene.Guest.Config.Kernel!, new byte[65536])),
        new("reset-shutdown", RebootPhase.ShutDown, "the guest reboots itself", "reset by its keyboard controller",
            GuestReboots, "guest ended", scene => scene.ResetGuest()),
        new("stop-shutdown", RebootPhase.ShutDown, "the instance is stopped", "stop", Stopped, "stopped", scene => scene.Stop()),
        new("full-disk", RebootPhase.ShutDown, "the overlay's disk is full", "the file system is full, ENOSPC",
            Aborted, "panicked", scene => scene.Hold(HostFaults.Fill(scene.Home))) { OnSmallDisk = true },
        new("io-error", RebootPhase.ShutDown, "the disk below fails", "loop device over an emptied file, EIO",
            Aborted, "panicked", scene => scene.HollowBase()) { OnLoopDevice = true },

        new("kill-reset", RebootPhase.Reset, "the shadow is killed", "SIGKILL", Aborted, "shadow process",
            scene => HostFaults.Kill(scene.Shadow)) { Boot = TinyOsBoot.Hangs },

        new("kill-boot", RebootPhase.Boot, "the shadow is killed", "SIGKILL", Aborted, "shadow process",
            scene => HostFaults.Kill(scene.Shadow)) { Boot = TinyOsBoot.Hangs },
        new("hang-boot", RebootPhase.Boot, "the shadow hangs", "SIGSTOP", Aborted, "not ready within",
            scene => HostFaults.Suspend(scene.Shadow)) { TimeoutSeconds = 20, Boot = TinyOsBoot.Hangs },
        new("never-ready", RebootPhase.Boot, "the new OS never becomes ready", "a kernel that loops", Aborted, "not ready within",
            _ => { }) { TimeoutSeconds = 20, Boot = TinyOsBoot.Hangs },
        new("resets", RebootPhase.Boot, "the new OS resets", "a kernel that does so", Aborted, "ended before it was ready",
            _ => { }) { Boot = TinyOsBoot.Resets },
        new("panic", RebootPhase.Boot, "the new OS panics", "a kernel that says so as Linux does, and stays there", Aborted, "panicked",
            _ => { }) { Boot = TinyOsBoot.Panics },
        new("emergency", RebootPhase.Boot, "the new OS stops in emergency mode", "a kernel that says so as systemd does, and waits", Aborted,
            "in emergency mode", _ => { }) { Boot = TinyOsBoot.WaitsInEmergencyMode },
        new("reset-boot", RebootPhase.Boot, "the guest reboots itself", "reset by its keyboard controller",
            GuestReboots, "guest ended", scene => scene.ResetGuest()) { Boot = TinyOsBoot.Hangs },
        new("stop-boot", RebootPhase.Boot, "the instance is stopped", "stop", Stopped, "stopped",
            scene => scene.Stop()) { Boot = TinyOsBoot.Hangs },

        new("overlay-gone", RebootPhase.Ready, "the new OS's overlay vanishes", "unlink", Aborted, "shadow.qcow2",
            scene =>
            {
                foreach (string file in Directory.GetFiles(scene.Layers, "*-shadow.qcow2").Order().TakeLast(1)) File.Delete(file);
            }),
        new("read-only-ready", RebootPhase.Ready, "the manifest cannot be written", "chattr +i", Aborted, "manifest.json",
            scene => scene.Hold(HostFaults.Petrify(scene.Home))),
        new("full-ready", RebootPhase.Ready, "no space for the manifest", "the file system is full, ENOSPC", Aborted, "space",
            scene => scene.Hold(HostFaults.Fill(scene.Home))) { OnSmallDisk = true },
        new("kill-ready", RebootPhase.Ready, "the shadow is killed when it has handed over", "SIGKILL", Switched, "",
            scene =>
            {
                if (Directory.Exists($"/proc/{scene.Shadow}")) HostFaults.Kill(scene.Shadow);
            }),
        new("stop-ready", RebootPhase.Ready, "the instance is stopped", "stop", Stopped, "stopped", scene => scene.Stop()),

        new("read-only-switch", RebootPhase.Switch, "the commit is refused", "chattr +i", Aborted, "rename",
            scene => scene.Hold(HostFaults.Petrify(scene.Home))),
        new("reset-switch", RebootPhase.Switch, "the guest reboots itself", "reset by its keyboard controller",
            GuestReboots, "guest ended", scene => scene.ResetGuest()),
        new("stop-switch", RebootPhase.Switch, "the instance is stopped", "stop", SwitchedAndStopped, "", scene => scene.Stop()),

        new("read-only-after", RebootPhase.After, "the old layers cannot be removed", "chattr +i on the folder of layers", Switched, "",
            scene => scene.Hold(HostFaults.Petrify(scene.Layers))),
    ];
}
