using System.Runtime.InteropServices;
using CowMemory;
using Kvm.Interop;
using TestKit.Disks;
using TestKit.Guests.Torture;
using Vmm.Machines;

namespace Vmm.Tests.Machines;

/// <summary>A machine that runs, or can take over, the torture guest: with the disk and console that belong to it.</summary>
internal sealed class TortureSide : IDisposable
{
    public TortureSide(KvmHost host, MemoryFile file, MemoryView view, MemoryDisk disk, TortureConsole console)
    {
        (Disk, Console) = (disk, console);
        Machine = new Machine(host, new MachineSpec(TortureGuest.Cpus, [new DiskSlot(disk, "torture")], console), file, view);
    }

    public Machine Machine { get; }
    public MemoryDisk Disk { get; }
    public TortureConsole Console { get; }

    /// <summary>The guest at its first instruction: made as a state that both vCPUs are loaded from, not by INIT and SIPI.</summary>
    public static TortureSide Start(KvmHost host, TortureProfile profile)
    {
        MemoryFile file = MemoryFile.Create("torture", TortureGuest.MemoryBytes);
        TortureSide made = new(host, file, MemoryView.Shared, new MemoryDisk(TortureGuest.DiskBytes), new TortureConsole());
        TortureGuest.Load(made.Machine.Memory, profile);
        MachineState state = made.Machine.NewState();
        made.Machine.Save(state);
        for (int cpu = 0; cpu < TortureGuest.Cpus; cpu++)
        {
            VcpuState vcpu = state.Vcpus[cpu];
            vcpu.MpState.AsSpan().Clear(); // KVM_MP_STATE_RUNNABLE
            TortureGuest.Enter(
                cpu, ref MemoryMarshal.AsRef<KvmRegs>(vcpu.Regs.AsSpan()), ref MemoryMarshal.AsRef<KvmSregs>(vcpu.Sregs.AsSpan()));
        }

        made.Machine.Load(state);
        return made;
    }

    /// <summary>A counter of one of the vCPUs.</summary>
    public ulong Read(int cpu, TortureField field) =>
        Machine.Memory.TryLoad(TortureGuest.Block(cpu) + (uint)field, out ulong value) ? value : 0;

    /// <summary>The first thing that is wrong, or null.</summary>
    public string? Complaint()
    {
        for (int cpu = 0; cpu < TortureGuest.Cpus; cpu++)
        {
            ulong error = Read(cpu, TortureField.Error);
            if (error == 0) continue;
            string what = error >= (ulong)TortureError.Exception
                ? $"exception {error - (ulong)TortureError.Exception}"
                : ((TortureError)error).ToString();
            return $"vcpu{cpu} found: {what}; it saw 0x{Read(cpu, TortureField.Got):x}. {Counters()}";
        }

        if (Machine.Exited.IsCompleted) return $"{Machine.Exited.Result.Detail}. {Counters()}";
        return Console.Wrong is { } wrong ? $"{wrong}. {Counters()}" : null;
    }

    /// <summary>All counters, for people.</summary>
    public string Counters() => string.Join("; ", Enumerable.Range(0, TortureGuest.Cpus).Select(cpu =>
        $"vcpu{cpu}: " + string.Join(" ", Counted(cpu).Select(field => $"{field}={Read(cpu, field)}"))));

    /// <summary>What each vCPU waits for, when it stands still: activity, position, timer, interrupts requested. Pauses the machine.</summary>
    public string Waits()
    {
        const int timer = 0x320, count = 0x380, current = 0x390, requests = 0x200, inService = 0x100, step = 0x10;
        Machine.Pause();
        MachineState state = Machine.NewState();
        Machine.Save(state);
        return string.Join("; ", state.Vcpus.Select((vcpu, cpu) =>
        {
            KvmRegs regs = MemoryMarshal.Read<KvmRegs>(vcpu.Regs);
            ReadOnlySpan<KvmMsrEntry> msrs = MemoryMarshal.Cast<byte, KvmMsrEntry>(vcpu.Msrs);
            // IA32_TSC first, IA32_TSC_DEADLINE last.
            return $"vcpu{cpu}: mp {MemoryMarshal.Read<uint>(vcpu.MpState)} rip 0x{regs.Rip:x} rflags 0x{regs.Rflags:x} tsc {msrs[0].Data} deadline "
                + $"{msrs[^1].Data} offset {vcpu.TscOffset} lvtt 0x{Apic(timer):x} count {Apic(count)} left {Apic(current)} irr {Bits(requests)} isr {Bits(inService)}";

            uint Apic(int register) => MemoryMarshal.Read<uint>(vcpu.Lapic.AsSpan(register));
            string Bits(int first) => string.Join(',', Enumerable.Range(0, 8).Select(i => $"{Apic(first + (i * step)):x}"));
        }));
    }

    /// <summary>Everything that has to go on.</summary>
    public (string Name, ulong Count)[] Progress() =>
        [.. Enumerable.Range(0, TortureGuest.Cpus).SelectMany(cpu => Counted(cpu).Select(field => ($"vcpu{cpu}'s {field}", Read(cpu, field))))];

    public void Dispose() => Machine.Dispose();

    private static TortureField[] Counted(int cpu)
    {
        TortureField[] each =
            [TortureField.Rounds, TortureField.TimerFired, TortureField.IpiGot, TortureField.NmiGot, TortureField.Halts];
        return cpu > 0
            ? each
            : [.. each, TortureField.TxGot, TortureField.RxGot, TortureField.PowerGot, TortureField.PitTicks, TortureField.DiskDone];
    }
}
