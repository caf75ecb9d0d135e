using CowMemory;
using Kvm.Interop;
using Virtio;
using VirtioBlk;
using Vmm.Acpi;
using Vmm.Boot;
using Vmm.Buses;
using Vmm.Devices;

namespace Vmm.Machines;

/// <summary>
/// One KVM VM: vCPUs, interrupt controllers, guest memory, devices. It is built paused and empty; <see cref="Boot"/> gives it a
/// kernel or <see cref="Load"/> the state of another machine, and <see cref="Run"/> lets it go.
/// </summary>
/// <remarks>
/// One thread at a time controls a machine. Everything that takes long happens in the constructor or in Dispose; Pause, Save,
/// Load and Run are what the pauses of a fork and a switch consist of.
/// </remarks>
public sealed class Machine : IVcpuExits, IPowerControl, IDisposable
{
    private const int PauseLimitMillis = 5000;

    private readonly KvmVm _vm;
    private readonly Vcpu[] _vcpus;
    private readonly PortBus _ports;
    private readonly MmioBus _mmio;
    private readonly List<IrqfdLine> _lines = [];
    private readonly Serial8250 _console, _channel;
    private readonly Cmos _cmos;
    private readonly I8042 _i8042;
    private readonly ResetRegister _controlA, _chipset;
    private readonly AcpiDevice _acpi;
    private readonly FwCfg _fwCfg;
    private readonly AcpiTables _tables;
    private readonly VirtioBlkDevice[] _disks;
    private readonly VirtioMmioTransport[] _transports;
    private bool _disposed;
    private readonly TaskCompletionSource<MachineExit> _exited = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Builds a machine.</summary>
    /// <param name="host">The host's KVM.</param>
    /// <param name="spec">What it consists of.</param>
    /// <param name="file">Its memory; owned from now on, also when this throws.</param>
    /// <param name="view">How it maps that memory.</param>
    /// <exception cref="LibcException">The host refused something.</exception>
    /// <exception cref="OutOfMemoryException">The host gives no further thread.</exception>
    public Machine(KvmHost host, MachineSpec spec, MemoryFile file, MemoryView view)
    {
        Spec = spec;
        File = file;
        _disks = new VirtioBlkDevice[spec.Disks.Count];
        _transports = new VirtioMmioTransport[spec.Disks.Count];
        _vcpus = new Vcpu[spec.Cpus];
        try
        {
            Memory = GuestMemory.Map(file, new MemoryLayout(file.SizeBytes), view);
            _vm = new KvmVm(host, Memory);

            _console = new Serial8250(new DirectLine(_vm, PlatformMap.Com1Gsi), spec.Console);
            _channel = new Serial8250(new DirectLine(_vm, PlatformMap.Com2Gsi), spec.Channel ?? NoOutput.s_instance);
            _cmos = new Cmos(TimeProvider.System, Memory.Layout, spec.Cpus);
            _i8042 = new I8042(this);
            _controlA = ResetRegister.SystemControlA(this);
            _chipset = ResetRegister.ChipsetControl(this);
            _acpi = new AcpiDevice(Line(PlatformMap.AcpiGsi), this);
            _tables = AcpiTables.For(new AcpiDescription(spec.Cpus, spec.Disks.Count));
            _fwCfg = FirmwareItems.Describe(spec, Memory, _tables);
            _ports = new PortBus(
                new PortRange(PlatformMap.Com1Port, PlatformMap.SerialPorts, _console),
                new PortRange(PlatformMap.Com2Port, PlatformMap.SerialPorts, _channel),
                new PortRange(PlatformMap.CmosPort, PlatformMap.CmosPorts, _cmos),
                new PortRange(PlatformMap.I8042Port, PlatformMap.I8042Ports, _i8042),
                new PortRange(PlatformMap.SystemControlPort, 1, _controlA),
                new PortRange(PlatformMap.FwCfgPort, FwCfg.Ports, _fwCfg),
                new PortRange(PlatformMap.ResetControlPort, 1, _chipset));

            List<MmioRange> windows = [new MmioRange(PlatformMap.AcpiBase, PlatformMap.AcpiSize, _acpi)];
            for (int i = 0; i < _disks.Length; i++) windows.Add(AddDisk(i, spec.Disks[i]));
            _mmio = new MmioBus(windows);

            for (int i = 0; i < _vcpus.Length; i++) _vcpus[i] = new Vcpu(host, _vm.Fd, i, spec.Cpus, this);
        }
        catch
        {
            // A thread that has been started keeps everything alive that it can reach, the whole machine.
            Dispose();
            throw;
        }
    }

    /// <summary>What it consists of.</summary>
    public MachineSpec Spec { get; }

    /// <summary>The file behind its memory.</summary>
    public MemoryFile File { get; }

    /// <summary>Its memory.</summary>
    public GuestMemory Memory { get; }

    /// <summary>Its console port: input for the guest.</summary>
    public Serial8250 Console => _console;

    /// <summary>Its guest channel's port: input for the guest.</summary>
    public Serial8250 Channel => _channel;

    /// <summary>Its disks, in the guest's order.</summary>
    public IReadOnlyList<VirtioBlkDevice> Disks => _disks;

    /// <summary>Completes when the guest has reset or switched itself off, or cannot run on. The vCPUs stop by themselves.</summary>
    public Task<MachineExit> Exited => _exited.Task;

    /// <summary>When the last vCPU to do so entered the guest after <see cref="Run"/> (Stopwatch ticks), or 0 while one still has not.</summary>
    public long RunningSince
    {
        get
        {
            long last = 0;
            foreach (Vcpu vcpu in _vcpus)
            {
                long entered = vcpu.EnteredAt;
                if (entered == 0) return 0;
                last = Math.Max(last, entered);
            }

            return last;
        }
    }

    /// <summary>Puts what is to be booted into memory, and the first vCPU where it begins. Only while paused and empty.</summary>
    /// <exception cref="BootImageException">What is wrong with it, in one line.</exception>
    public void Boot(BootSource source)
    {
        (KvmRegs regs, KvmSregs sregs) = ReadRegisters();
        switch (source)
        {
            case LinuxBootConfig linux:
                LinuxLoader.Load(linux, Memory, _tables.WriteTo(Memory)).Apply(ref sregs, ref regs);
                break;
            case FirmwareBootConfig firmware:
                FirmwareLoader.Load(firmware, Memory);
                FirmwareLoader.Apply(ref sregs);
                break;
        }

        WriteRegisters(regs, sregs);
    }

    /// <summary>Registers of the first vCPU. Only while paused.</summary>
    public (KvmRegs Regs, KvmSregs Sregs) ReadRegisters() => _vcpus[0].ReadRegisters();

    /// <summary>Puts the first vCPU somewhere. Only while paused.</summary>
    public void WriteRegisters(in KvmRegs regs, in KvmSregs sregs) => _vcpus[0].WriteRegisters(regs, sregs);

    /// <summary>Lets the vCPUs and the disks go. A machine that has ended stays as it is.</summary>
    public void Run()
    {
        if (_exited.Task.IsCompleted) return;
        foreach (VirtioMmioTransport transport in _transports) transport.Resume();
        ResumeVcpus();
    }

    /// <summary>Stops the vCPUs, then finishes the disk requests that have begun: afterwards nothing touches the memory.</summary>
    /// <param name="patient">Whether the disks may take their time: this guest is not waited for by anybody.</param>
    /// <exception cref="TimeoutException">A vCPU, or what a disk is at, did not stop within five seconds.</exception>
    /// <exception cref="Exception">However it failed, the pause has been taken back: the machine runs on.</exception>
    public void Pause(bool patient = false)
    {
        try
        {
            long limit = Environment.TickCount64 + PauseLimitMillis;
            if (StopVcpus(limit) is { } late) throw new TimeoutException($"vcpu{late.Index} did not stop within {PauseLimitMillis} ms");
            for (int i = 0; i < _transports.Length; i++)
                if (!_transports[i].Suspend(patient ? long.MaxValue : limit)) throw new TimeoutException($"A request of disk {i} did not end within {PauseLimitMillis} ms");
        }
        catch
        {
            foreach (VirtioMmioTransport transport in _transports) transport.Resume();
            ResumeVcpus();
            throw;
        }
    }

    /// <summary>Keeps the vCPUs out of the guest for a while; the disks work on. Nobody pauses the machine before <see cref="EndRest"/>.</summary>
    /// <returns>False: one did not stop in time, and they run on.</returns>
    public bool TryRest()
    {
        if (StopVcpus(Environment.TickCount64 + PauseLimitMillis) is null) return true;
        EndRest();
        return false;
    }

    /// <summary>The CPU time that the vCPUs' threads have used.</summary>
    public TimeSpan CpuTime() => _vcpus.Aggregate(TimeSpan.Zero, (sum, vcpu) => sum + vcpu.CpuTime);

    /// <summary>Takes <see cref="TryRest"/> back. A machine that has ended stays as it is.</summary>
    public void EndRest()
    {
        if (!_exited.Task.IsCompleted) ResumeVcpus();
    }

    /// <summary>Makes an empty state for <see cref="Save"/> to fill, outside the pause.</summary>
    public MachineState NewState() => new()
    {
        Vm = new VmState(),
        Vcpus = [.. _vcpus.Select(vcpu => vcpu.NewState())],
        Console = _console.Save(),
        Channel = _channel.Save(),
        Cmos = _cmos.Save(),
        I8042 = _i8042.Save(),
        ControlA = _controlA.Save(),
        Chipset = _chipset.Save(),
        Acpi = _acpi.Save(),
        FwCfg = _fwCfg.Save(),
        Disks = new VirtioTransportState[_transports.Length],
    };

    /// <summary>Takes down everything the machine is. Only while paused.</summary>
    public void Save(MachineState state)
    {
        for (int i = 0; i < _vcpus.Length; i++) _vcpus[i].Save(state.Vcpus[i]);
        _vm.Save(state.Vm);
        state.Console = _console.Save();
        state.Channel = _channel.Save();
        state.Cmos = _cmos.Save(state.Cmos.Memory);
        state.I8042 = _i8042.Save();
        state.ControlA = _controlA.Save();
        state.Chipset = _chipset.Save();
        state.Acpi = _acpi.Save();
        state.FwCfg = _fwCfg.Save();
        for (int i = 0; i < _transports.Length; i++) state.Disks[i] = _transports[i].Save();
    }

    /// <summary>Becomes what another machine was: same memory content, same number of vCPUs and disks. Only while paused.</summary>
    /// <remarks>
    /// Order: the clock before the vCPUs that read it; interrupt controllers after the vCPUs, because what still waits in the
    /// IOAPIC goes on into the local APICs as it is loaded, and before the devices, which raise their lines. Interrupts that were on their way between a device and the controllers are raised again: a spurious edge does no harm,
    /// a lost one would.
    /// </remarks>
    public void Load(MachineState state)
    {
        if (state.Version != MachineState.CurrentVersion) throw MachineState.WrongVersion(state.Version);
        _vm.LoadClock(state.Vm);
        for (int i = 0; i < _vcpus.Length; i++)
        {
            _vcpus[i].Load(state.Vcpus[i]);
            _vcpus[i].TellPaused();
        }

        _vm.LoadInterrupts(state.Vm);
        _console.Load(state.Console);
        _channel.Load(state.Channel);
        _cmos.Load(state.Cmos);
        _i8042.Load(state.I8042);
        _controlA.Load(state.ControlA);
        _chipset.Load(state.Chipset);
        _acpi.Load(state.Acpi);
        _fwCfg.Load(state.FwCfg);
        for (int i = 0; i < _transports.Length; i++) _transports[i].Load(state.Disks[i]);
    }

    /// <summary>
    /// Goes through all that this class does in a pause, on a machine that has not run yet, so that no first call and no first touch
    /// is left for it. The machine stays as it is.
    /// </summary>
    /// <param name="state">The state that the pause will fill; its content is lost.</param>
    public void Rehearse(MachineState state)
    {
        Pause();
        Save(state);
        foreach (VirtioMmioTransport transport in _transports) transport.Reset();
        Load(state);
        foreach (Vcpu vcpu in _vcpus) vcpu.Rehearse();
        foreach (VirtioMmioTransport transport in _transports) transport.Reset();
    }

    /// <summary>Has the vCPUs scheduled before everything ordinary on the host: for a pause, and until <see cref="Lower"/>.</summary>
    public void Raise()
    {
        foreach (Vcpu vcpu in _vcpus) vcpu.Raise();
    }

    /// <summary>Takes <see cref="Raise"/> back.</summary>
    /// <param name="entered">Whether only for those vCPUs that have entered the guest.</param>
    /// <returns>Whether none is left.</returns>
    public bool Lower(bool entered = false)
    {
        bool all = true;
        foreach (Vcpu vcpu in _vcpus)
        {
            if (entered && vcpu.EnteredAt == 0) all = false;
            else vcpu.Lower();
        }

        return all;
    }

    /// <summary>Presses the ACPI power button.</summary>
    public void PressPowerButton() => _acpi.PressPowerButton();

    /// <summary>Starts or stops recording which pages are written, by the guest and by this process.</summary>
    public void LogDirtyPages(bool on)
    {
        _vm.LogDirtyPages(on);
        Memory.HostWrites = on ? new DirtyPages(Memory.Layout.SizeBytes) : null;
    }

    /// <summary>Adds the pages written since the last call.</summary>
    public void CollectDirtyPages(DirtyPages into, DirtyPages scratch)
    {
        _vm.CollectDirtyPages(into, scratch);
        if (Memory.HostWrites is { } written) into.TakeFrom(written);
    }

    /// <inheritdoc/>
    public void RequestReset() => End(new MachineExit(MachineExitKind.Reset, "the guest asked for a reset"));

    /// <inheritdoc/>
    public void RequestPowerOff() => End(new MachineExit(MachineExitKind.PowerOff, "the guest switched itself off"));

    /// <summary>Stops everything and gives it all back, the memory too. What is missing was not made any more: the constructor failed.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, true)) return;
        foreach (Vcpu? vcpu in _vcpus) vcpu?.Dispose();
        foreach (VirtioBlkDevice? disk in _disks) disk?.Dispose();
        _vm?.Dispose();
        foreach (IrqfdLine line in _lines) line.Dispose();
        Memory?.Dispose();
        File.Dispose();
    }

    void IVcpuExits.Handle(Vcpu vcpu, KvmRun run)
    {
        switch (run.ExitReason)
        {
            case KvmExit.Io:
                ref KvmRunIo io = ref run.Io;
                Span<byte> data = run.IoData();
                for (int at = 0; at < data.Length; at += io.Size)
                {
                    if (io.Direction == 0) _ports.Read(io.Port, data.Slice(at, io.Size));
                    else _ports.Write(io.Port, data.Slice(at, io.Size));
                }

                break;
            case KvmExit.Mmio:
                ref KvmRunMmio mmio = ref run.Mmio;
                Span<byte> bytes = ((Span<byte>)mmio.Data)[..(int)Math.Min(mmio.Length, Byte8.Length)];
                if (mmio.IsWrite != 0) _mmio.Write(mmio.PhysicalAddress, bytes);
                else _mmio.Read(mmio.PhysicalAddress, bytes);
                break;
            case KvmExit.IrqWindowOpen or KvmExit.Intr:
                break;
            case KvmExit.Shutdown:
                End(new MachineExit(MachineExitKind.Reset, "triple fault"));
                break;
            case KvmExit.SystemEvent:
                End(SystemEvent((uint)run.ExitDetail));
                break;
            default:
                KvmRegs regs = vcpu.ReadRegisters().Regs;
                End(new MachineExit(MachineExitKind.Failed,
                    $"vcpu{vcpu.Index} stopped with KVM_EXIT {run.ExitReason} (0x{run.ExitDetail:x}) at rip 0x{regs.Rip:x}"));
                break;
        }
    }

    void IVcpuExits.Failed(Vcpu vcpu, Exception cause) =>
        End(new MachineExit(MachineExitKind.Failed, $"vcpu{vcpu.Index}: {cause.Message}"));

    private static MachineExit SystemEvent(uint type) => type switch
    {
        1 => new MachineExit(MachineExitKind.PowerOff, "the guest switched itself off"),
        2 => new MachineExit(MachineExitKind.Reset, "the guest asked for a reset"),
        _ => new MachineExit(MachineExitKind.Failed, $"KVM system event {type}"),
    };

    /// <summary>First end wins. Runs on a vCPU thread: it only asks the others to stop.</summary>
    private void End(MachineExit exit)
    {
        if (!_exited.TrySetResult(exit)) return;
        foreach (Vcpu? vcpu in _vcpus) vcpu?.RequestPause();
    }

    /// <returns>The first that did not stop in time, or null.</returns>
    private Vcpu? StopVcpus(long limit)
    {
        foreach (Vcpu vcpu in _vcpus) vcpu.RequestPause();
        foreach (Vcpu vcpu in _vcpus)
            if (!vcpu.WaitPaused(limit)) return vcpu;
        return null;
    }

    private void ResumeVcpus()
    {
        foreach (Vcpu vcpu in _vcpus) vcpu.Resume();
        // A guest that ended while the later ones were being let go: they must not run on.
        if (_exited.Task.IsCompleted) foreach (Vcpu vcpu in _vcpus) vcpu.RequestPause();
    }

    private IrqfdLine Line(uint gsi)
    {
        IrqfdLine line = new(_vm, gsi);
        _lines.Add(line);
        return line;
    }

    private MmioRange AddDisk(int index, DiskSlot slot)
    {
        VirtioBlkDevice device = _disks[index] = new(slot.Backend, slot.Serial, $"blk{index}", Spec.Cpus, slot.Turns);
        VirtioMmioTransport transport = new(device, Memory, Line(PlatformMap.VirtioGsi(index)));
        ulong window = PlatformMap.VirtioWindow(index);
        for (int queue = 0; queue < transport.Notifications.Count; queue++)
            _vm.WireNotification(transport.Notifications[queue], window + VirtioMmioTransport.QueueNotifyOffset, (uint)queue);
        _transports[index] = transport;
        return new MmioRange(window, PlatformMap.VirtioSize, transport);
    }

    /// <summary>The guest channel's other end while nothing is connected to it.</summary>
    private sealed class NoOutput : ISerialOutput
    {
        internal static readonly NoOutput s_instance = new();

        public void Write(ReadOnlySpan<byte> bytes) { }
    }
}
