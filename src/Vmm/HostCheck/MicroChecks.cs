using System.Diagnostics;
using Kvm.Interop;

namespace Vmm.HostCheck;

/// <summary>The micro-guests' verdicts.</summary>
internal static class MicroChecks
{
    private const int SpeedMillis = 50, WakeMillis = 1000, Wakes = 10;
    private const double SlowMillionPerSecond = 20;

    /// <summary>How fast ring 0 runs. A CPU makes hundreds of millions of instructions a second, an emulator a few.</summary>
    internal static HostCheckResult Ring0Speed(ProbeMachine machine)
    {
        const string Name = "ring 0 speed";
        const ulong Enough = ulong.MaxValue;
        long start = Stopwatch.GetTimestamp();
        ProbeExit exit = machine.Start(MicroGuests.Loop, rcx: Enough, limitMillis: SpeedMillis);
        double micros = Stopwatch.GetElapsedTime(start).TotalMicroseconds;
        if (!exit.TimedOut) return new HostCheckResult(Name, CheckStatus.Fail, $"a loop does not run: {exit}");
        double million = (Enough - machine.ReadRegs().Rcx) * 2 / micros; // DEC and JNE
        return million >= SlowMillionPerSecond
            ? new HostCheckResult(Name, CheckStatus.Ok, $"{million:F0} million instructions a second")
            : new HostCheckResult(Name, CheckStatus.Warn,
                $"{million:F1} million instructions a second: emulated, or the host is overloaded",
                "hardware virtualization runs the guest on the CPU itself");
    }

    /// <summary>Whether programs can call their kernel.</summary>
    internal static HostCheckResult SystemCalls(ProbeMachine machine)
    {
        const string Name = "system calls from ring 3";
        ProbeExit exit = machine.Start(MicroGuests.EnterRing3);
        if (!exit.Says('S')) return new HostCheckResult(Name, CheckStatus.Fail, $"SYSCALL does not reach the guest's kernel ({exit})");
        exit = machine.Continue();
        return exit.Says('I')
            ? new HostCheckResult(Name, CheckStatus.Ok, "SYSCALL and INT 0x80 reach the guest's kernel and return")
            : new HostCheckResult(Name, CheckStatus.Fail, $"INT 0x80 does not reach the guest's kernel ({exit})");
    }

    /// <summary>Whether ring 0 can use the instructions that Linux uses.</summary>
    internal static HostCheckResult Instructions(ProbeMachine machine)
    {
        CpuFeatures cpu = CpuFeatures.Read(machine);
        List<string> tried = [], failed = [];
        HashSet<string> exits = [];
        Try("INT3", true, MicroGuests.Breakpoint);
        Try("POPCNT", cpu.Popcnt, MicroGuests.Popcnt);
        Try("CMPXCHG16B", cpu.Cmpxchg16b, MicroGuests.Cmpxchg16b);
        Try("CLAC", cpu.Smap, MicroGuests.Clac);
        Try("XSAVE/XRSTOR", cpu.Xsave, MicroGuests.XsaveXrstor);
        const string Name = "instructions in ring 0";
        return failed.Count == 0
            ? new HostCheckResult(Name, CheckStatus.Ok, string.Join(", ", tried))
            : new HostCheckResult(Name, CheckStatus.Fail,
                $"{string.Join(", ", failed)} cannot be used in the guest's kernel ({string.Join("; ", exits)})");

        void Try(string name, bool offered, ReadOnlySpan<byte> code)
        {
            if (!offered || machine.Hung) return;
            tried.Add(name);
            ProbeExit exit = machine.Start(code);
            if (exit.Reported) return;
            failed.Add(name);
            exits.Add(exit.ToString());
        }
    }

    /// <summary>Whether an eventfd can interrupt the guest, asleep, and its handler returns.</summary>
    internal static HostCheckResult Interrupts(ProbeMachine machine)
    {
        const string Name = "interrupts (irqfd)";
        using EventFd line = EventFd.Create(nonBlocking: true);
        machine.Vm.Set(KvmIoctls.KVM_IRQFD, new KvmIrqfd { Fd = (uint)line.Fd, Gsi = MicroGuests.InterruptLine });
        ProbeExit exit = machine.Start(MicroGuests.AwaitInterrupt);
        if (!exit.Says('R')) return Failed(exit);
        bool handled = false;
        for (int tries = 0; tries < Wakes; tries++)
        {
            line.Signal();
            while ((exit = machine.Continue(WakeMillis)).Says('Q')) handled = true;
            // An emulated processor may take the interrupt between STI and HLT, and sleep then (docs/rig.md): another wakes it.
            if (!exit.TimedOut) break;
        }

        return handled && exit.Says('W')
            ? new HostCheckResult(Name, CheckStatus.Ok, "an eventfd reaches the guest's handler, which returns")
            : Failed(exit);

        static HostCheckResult Failed(ProbeExit exit) =>
            new(Name, CheckStatus.Fail, $"an eventfd does not reach the guest's interrupt handler and back ({exit})");
    }

    /// <summary>Whether the host sees a store to a device as an event, and the guest goes on.</summary>
    internal static HostCheckResult Notifications(ProbeMachine machine)
    {
        const string Name = "notifications (ioeventfd)";
        using EventFd notified = EventFd.Create(nonBlocking: true);
        machine.Vm.Set(KvmIoctls.KVM_IOEVENTFD, new KvmIoeventfd
        {
            Address = ProbeMachine.DeviceAddress,
            Length = sizeof(uint),
            Fd = notified.Fd,
        });
        ProbeExit exit = machine.Start(MicroGuests.StoreToDevice, rdi: ProbeMachine.DeviceAddress);
        bool seen = notified.TryDrain();
        return exit.Reported && seen
            ? new HostCheckResult(Name, CheckStatus.Ok, "a guest's store arrives as an event")
            : new HostCheckResult(Name, CheckStatus.Fail, $"a guest's store does not arrive as an event ({exit})");
    }
}
