using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.Json.Nodes;
using CowMemory;
using Kvm.Interop;
using TestKit.Disks;
using Vmm.Machines;
using Xunit;

namespace Vmm.Tests.Machines;

/// <summary>What is in a saved machine, that all of it arrives, and in the right order.</summary>
public sealed class MachineStateTests : IDisposable
{
    private const ulong MemoryBytes = 1 << 20;
    private const int LapicIrr = 0x200, LapicSpurious = 0xF0, LapicTimer = 0x320, LapicDivider = 0x3E0;
    private const int IoApicEntries = 24, IoApicIrr = 16, RemoteIrr = 1 << 14, Level = 1 << 15;
    private const long MillisecondNanos = 1_000_000;

    private readonly KvmHost _host = KvmHost.Open();
    private readonly List<Machine> _machines = [];

    public void Dispose()
    {
        foreach (Machine machine in _machines) machine.Dispose();
        _host.Dispose();
    }

    /// <summary>
    /// The tripwire: what one process writes, another one reads. If this fails, count <see cref="MachineState.CurrentVersion"/> up,
    /// write the new layout down here, and see whether docs/state.md is still right.
    /// </summary>
    [Fact]
    public void The_layout_has_the_version_written_down_here()
    {
        MachineState state = Saved(New(cpus: 1, new DiskSlot(new MemoryDisk(512), "d")));
        JsonNode json = JsonNode.Parse(MachineStateJson.Bytes(state))!;
        const string Layout =
            "Acpi.Events Channel.Breaks[0] Channel.Divisor Channel.FifoControl Channel.FifoCount Channel.InterruptEnable " +
            "Channel.LineControl Channel.LineErrors Channel.ModemControl Channel.ModemDelta Channel.Received:0 Channel.Scratch " +
            "Channel.TransmitPending Chipset.Value Cmos.Index Cmos.Memory:128 Cmos.OffsetTicks Console.Breaks[0] Console.Divisor " +
            "Console.FifoControl Console.FifoCount Console.InterruptEnable Console.LineControl Console.LineErrors " +
            "Console.ModemControl Console.ModemDelta Console.Received:0 Console.Scratch Console.TransmitPending ControlA.Value " +
            "Disks.ConfigGeneration Disks.DeviceFeaturesSelect Disks.DeviceId Disks.DriverFeatures Disks.DriverFeaturesSelect " +
            "Disks.InterruptStatus Disks.Layout Disks.QueueSelect Disks.Queues.DescriptorArea Disks.Queues.DeviceArea " +
            "Disks.Queues.DriverArea Disks.Queues.NextAvail Disks.Queues.NextUsed Disks.Queues.Ready Disks.Queues.Returned[0] " +
            "Disks.Queues.Size Disks.Settings Disks.Status FwCfg.AddressHigh FwCfg.Offset FwCfg.Selected I8042.Output I8042.OutputFull I8042.OutputPortNext Vcpus.DebugRegs:128 Vcpus.Events:64 Vcpus.Lapic:1024 " +
            "Vcpus.MpState:4 Vcpus.Msrs:* Vcpus.Regs:144 Vcpus.Sregs:320 Vcpus.TscOffset Vcpus.Xcrs:392 Vcpus.Xsave:4096 Version " +
            "Vm.Clock:48 Vm.ClockTakenAt Vm.Irqchips:1560 Vm.Pit:112";
        Assert.Equal(1, MachineState.CurrentVersion);
        Assert.Equal(Layout.Split(' '), Describe("", json).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void A_state_of_another_version_is_refused()
    {
        Machine machine = New(cpus: 1);
        JsonNode json = JsonNode.Parse(MachineStateJson.Bytes(machine.NewState()))!;
        json["Version"] = MachineState.CurrentVersion + 1;
        MachineState other = JsonSerializer.Deserialize(json.ToJsonString(), MachineStateJson.Default.MachineState)!;
        InvalidDataException e = Assert.Throws<InvalidDataException>(() => machine.Load(other));
        Assert.Contains($"version {MachineState.CurrentVersion + 1}", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Everything_that_was_saved_is_there_again_after_the_load()
    {
        MachineState state = Saved(New(cpus: 2));
        for (int cpu = 0; cpu < 2; cpu++) Scramble(state.Vcpus[cpu], (ulong)cpu + 1);
        ref KvmIrqchip ioapic = ref IoApic(state);
        // A level-triggered line that the guest has been interrupted for and has not acknowledged: remote IRR.
        Entry(ref ioapic, pin: 10) = 0x45 | Level | RemoteIrr;
        state.Vcpus[0].Lapic[0x100 + 0x20] = 1 << 5; // ISR: vector 0x45 is being served

        Machine into = New(cpus: 2);
        into.Load(MachineStateJson.RoundTrip(state));
        MachineState got = Saved(into);
        for (int cpu = 0; cpu < 2; cpu++)
        {
            VcpuState expected = state.Vcpus[cpu], actual = got.Vcpus[cpu];
            Assert.Equal(expected.Regs, actual.Regs);
            Assert.Equal(expected.Sregs, actual.Sregs);
            Assert.Equal(expected.DebugRegs, actual.DebugRegs);
            ref KvmVcpuEvents events = ref MemoryMarshal.AsRef<KvmVcpuEvents>(actual.Events.AsSpan());
            Assert.NotEqual(0, events.InterruptShadow);
            events.InterruptShadow = 1; // AMD-V does not tell the shadow of STI from that of MOV SS: it says both
            Assert.Equal(expected.Events, actual.Events);
            Assert.Equal(expected.MpState, actual.MpState);
            Assert.Equal(expected.Lapic, actual.Lapic);
            Assert.Equal(expected.Xcrs, actual.Xcrs);
            Assert.Equal(expected.Xsave, actual.Xsave);
            Assert.Equal(Msrs(expected), Msrs(actual));
        }

        Assert.Equal(state.Vm.Irqchips, got.Vm.Irqchips);
    }

    [Theory]
    [InlineData(0x2FFu)] // IA32_MTRR_DEF_TYPE
    [InlineData(0x200u)] // the first variable range
    [InlineData(0x20Fu)] // the last one
    [InlineData(0x250u)] // the first fixed range
    [InlineData(0x26Fu)] // the last one
    [InlineData(0x400u)] // IA32_MC0_CTL
    [InlineData(0x1D9u)] // IA32_DEBUGCTL
    [InlineData(0xC000_0102u)] // KERNEL_GS_BASE
    [InlineData(0x4B56_4D01u)] // MSR_KVM_SYSTEM_TIME_NEW
    public void An_msr_that_the_kernels_list_may_lack_is_saved_too(uint index) => Assert.Contains(index, _host.SavedMsrs.ToArray());

    [Fact]
    public void The_tsc_comes_first_and_its_deadline_last()
    {
        Assert.Equal(0x10u, _host.SavedMsrs[0]);
        Assert.Equal(0x6E0u, _host.SavedMsrs[^1]);
    }

    /// <summary>The IOAPIC holds a request it could not deliver yet. It goes to the local APIC as that was saved, not as it is after reset.</summary>
    [Fact]
    public void An_interrupt_that_waits_in_the_ioapic_gets_to_the_local_apic()
    {
        const int Pin = 5, Vector = 0x55;
        MachineState state = Saved(New(cpus: 1));
        Register(state.Vcpus[0], LapicSpurious) = 0x1FF; // software-enabled
        ref KvmIrqchip ioapic = ref IoApic(state);
        Entry(ref ioapic, Pin) = Vector;
        MemoryMarshal.Write(((Span<byte>)ioapic.Chip)[IoApicIrr..], 1u << Pin);

        Machine into = New(cpus: 1);
        into.Load(state);
        uint irr = Register(Saved(into).Vcpus[0], LapicIrr + ((Vector / 32) * 0x10));
        Assert.Equal(1u << (Vector % 32), irr);
    }

    /// <summary>kvmclock goes on by the time that has passed: not less, not more, whatever the host's wall clock does meanwhile.</summary>
    [Fact]
    public void The_clock_goes_on_by_as_much_as_time_has_passed()
    {
        Machine from = New(cpus: 1), into = New(cpus: 1);
        MachineState state = from.NewState(), after = into.NewState();
        for (int i = 0; i < 20; i++)
        {
            from.Save(state);
            into.Load(MachineStateJson.RoundTrip(state));
            into.Save(after);
            long passed = (long)Stopwatch.GetElapsedTime(state.Vm.ClockTakenAt, after.Vm.ClockTakenAt).TotalNanoseconds;
            long gone = (long)(Clock(after) - Clock(state));
            // Once: on a busy host the thread can lose its CPU between any two lines here. Never: backwards.
            Assert.True(gone >= 0, $"kvmclock went back by {-gone} ns");
            if (Math.Abs(gone - passed) < MillisecondNanos) return;
        }

        Assert.Fail("kvmclock never came within 1 ms of the time that had passed");
    }

    private static ulong Clock(MachineState state) => MemoryMarshal.AsRef<KvmClockData>(state.Vm.Clock.AsSpan()).Clock;

    private static void Scramble(VcpuState state, ulong seed)
    {
        ref KvmRegs regs = ref MemoryMarshal.AsRef<KvmRegs>(state.Regs.AsSpan());
        Span<ulong> general = MemoryMarshal.Cast<byte, ulong>(state.Regs.AsSpan());
        for (int i = 0; i < general.Length; i++) general[i] = (seed * 0x0101_0101_0101) + (ulong)i;
        regs.Rflags = 0x10246;
        ref KvmSregs sregs = ref MemoryMarshal.AsRef<KvmSregs>(state.Sregs.AsSpan());
        sregs.Cr2 = 0x1234_5000 + seed;
        sregs.Cr8 = 4 + seed;
        sregs.Gdt = new KvmDtable { Base = 0x5000 * seed, Limit = 0x3F };
        sregs.Idt = new KvmDtable { Base = 0x6000 * seed, Limit = 0x3FF };
        Register(state, 0x80) = (uint)sregs.Cr8 << 4; // TPR: the same thing, seen from the APIC
        Register(state, 0xA0) = Register(state, 0x80); // PPR follows
        Register(state, LapicSpurious) = 0x1FF;
        Register(state, LapicDivider) = 0xB;
        Register(state, LapicTimer) = 0x1_0031; // masked
        ref KvmDebugRegs debug = ref MemoryMarshal.AsRef<KvmDebugRegs>(state.DebugRegs.AsSpan());
        for (int i = 0; i < UInt64Array4.Length; i++) debug.Db[i] = 0x1000 * ((ulong)i + seed);
        ref KvmVcpuEvents events = ref MemoryMarshal.AsRef<KvmVcpuEvents>(state.Events.AsSpan());
        events.ExceptionPending = 1;
        events.ExceptionNumber = 14;
        events.ExceptionHasErrorCode = 1;
        events.ExceptionErrorCode = 2;
        events.ExceptionHasPayload = 1;
        events.ExceptionPayload = 0xDEAD_B000; // CR2-to-be
        events.NmiPending = 1;
        events.NmiMasked = 1;
        events.InterruptShadow = 1;
        state.MpState[0] = (byte)(seed == 1 ? 0 : 3); // runnable, halted
        foreach (ref KvmMsrEntry msr in MemoryMarshal.Cast<byte, KvmMsrEntry>(state.Msrs.AsSpan()))
        {
            if (msr.Index is 0xC000_0082 or 0xC000_0102) msr.Data = 0x7000_0000 + seed;
            if (msr.Index is 0x200) msr.Data = 0x8000_0006;
            if (msr.Index is 0x2FF) msr.Data = 0xC06;
            if (msr.Index is 0x268) msr.Data = 0x0606_0606_0606_0606;
        }
    }

    // The TSC runs, and so does Hyper-V's reference counter.
    private static IEnumerable<(uint, ulong)> Msrs(VcpuState state) =>
        MemoryMarshal.Cast<byte, KvmMsrEntry>(state.Msrs.AsSpan()).ToArray().Where(m => m.Index is not (0x10 or 0x4000_0020)).Select(m => (m.Index, m.Data));

    private static ref uint Register(VcpuState state, int offset) => ref MemoryMarshal.AsRef<uint>(state.Lapic.AsSpan(offset));

    private static ref KvmIrqchip IoApic(MachineState state) => ref MemoryMarshal.Cast<byte, KvmIrqchip>(state.Vm.Irqchips.AsSpan())[2];

    // struct kvm_ioapic_state: base address (8 bytes), register select, id, requests (irr), padding (4 each), 24 entries.
    private static ref ulong Entry(ref KvmIrqchip ioapic, int pin) =>
        ref MemoryMarshal.Cast<byte, ulong>(((Span<byte>)ioapic.Chip)[24..(24 + (IoApicEntries * 8))])[pin];

    private static IEnumerable<string> Describe(string path, JsonNode? node) => node switch
    {
        JsonObject o => o.SelectMany(p => Describe(path.Length == 0 ? p.Key : $"{path}.{p.Key}", p.Value)),
        JsonArray { Count: 1 } a when a[0] is JsonObject => Describe(path, a[0]),
        JsonArray a => [$"{path}[{a.Count}]"],
        JsonValue when path.EndsWith("Msrs", StringComparison.Ordinal) => [$"{path}:*"], // as many as this host has
        JsonValue v when v.GetValueKind() == JsonValueKind.String => [$"{path}:{Convert.FromBase64String((string)v!).Length}"],
        _ => [path],
    };

    private static MachineState Saved(Machine machine)
    {
        MachineState state = machine.NewState();
        machine.Save(state);
        return state;
    }

    private Machine New(int cpus, params DiskSlot[] disks)
    {
        Machine made = new(
            _host, new MachineSpec(cpus, disks, new TortureConsole()), MemoryFile.Create("state", MemoryBytes), MemoryView.Shared);
        _machines.Add(made);
        return made;
    }
}
