using CowMemory;
using Kvm.Interop;

namespace Vmm.HostCheck;

/// <summary>A VM of 128 KiB with one vCPU in 64-bit mode, in which micro-guests run one after the other.</summary>
/// <remarks>The calling thread is the vCPU's: one thread uses an object of this class from beginning to end.</remarks>
internal sealed class ProbeMachine : IDisposable
{
    /// <summary>An address that is mapped in the guest and no memory on the host: what a device's register is.</summary>
    internal const ulong DeviceAddress = 0x10_0000;
    /// <summary>64 aligned bytes and more for a micro-guest's own use.</summary>
    internal const ulong Scratch = 0x1_4000;

    private const ulong MemoryBytes = 128 << 10;
    private const ulong Gdt = 0x1000, Idt = 0x2000, Tss = 0x3000, PageTables = 0x4000;
    private const ulong Code = 0x8000, ExceptionStubs = 0x9000, Handlers = 0xA000, HandlerSize = 0x40, UserCode = 0xB000;
    private const ulong InterruptStack = 0xE000, UserStack = 0xF000, KernelStack = 0x1_0000;
    private const ushort KernelCs = 0x08, KernelSs = 0x10, UserSs = 0x23, UserCs = 0x2B, TssSelector = 0x30;
    // A healthy guest answers within microseconds. But an emulated machine on a busy host has been seen to take a second for its
    // first entry, and calling that a hang would refuse a host that works.
    private const int RunLimitMillis = 10_000;
    private const uint MsrStar = 0xC000_0081, MsrLstar = 0xC000_0082, MsrSyscallMask = 0xC000_0084;
    private const ulong Rflags = 0x2, RflagsInterrupts = 0x200;
    private const ulong Cr4ForSse = 0x600, Cr4Xsave = 1 << 18;

    private readonly MemoryFile _file;
    private readonly GuestMemory _memory;
    private readonly VcpuFd _vcpu;
    private readonly KvmRun _run;
    private readonly Watchdog _watchdog;
    private readonly KvmSregs _sregs;

    internal ProbeMachine(KvmFd kvm)
    {
        _file = MemoryFile.Create("bgkvm-probe", MemoryBytes);
        try
        {
            _memory = GuestMemory.Map(_file, new MemoryLayout(MemoryBytes), MemoryView.Shared);
            WriteTables();
            Vm = new VmFd(kvm.Call(KvmIoctls.KVM_CREATE_VM));
            Vm.Call(KvmIoctls.KVM_SET_TSS_ADDR, 0xFEFF_D000); // Intel wants three pages; nothing else is there
            Vm.Set(KvmIoctls.KVM_SET_USER_MEMORY_REGION, new KvmUserspaceMemoryRegion
            {
                MemorySize = MemoryBytes,
                UserspaceAddress = (ulong)_memory.HostAddress,
            });
            Vm.Call(KvmIoctls.KVM_CREATE_IRQCHIP);
            _vcpu = new VcpuFd(Vm.Call(KvmIoctls.KVM_CREATE_VCPU, 0));
            _run = new KvmRun(_vcpu, kvm.Call(KvmIoctls.KVM_GET_VCPU_MMAP_SIZE));
            bool xsave = GiveCpuid(kvm);
            SetSystemCallMsrs();
            _vcpu.Get(KvmIoctls.KVM_GET_SREGS, out _sregs);
            SetMode(ref _sregs, xsave);
            _watchdog = new Watchdog(_run);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Whether a guest had to be stopped that should have come back by itself.</summary>
    internal bool Hung { get; private set; }

    /// <summary>The VM, for wiring events.</summary>
    internal VmFd Vm { get; }

    /// <summary>Starts a micro-guest in ring 0 and waits until it comes back.</summary>
    /// <param name="code">Its machine code.</param>
    /// <param name="rdi">What RDI holds.</param>
    /// <param name="rcx">What RCX holds.</param>
    /// <param name="limitMillis">When to stop it, milliseconds.</param>
    internal ProbeExit Start(ReadOnlySpan<byte> code, ulong rdi = Scratch, ulong rcx = 0, int limitMillis = RunLimitMillis)
    {
        code.CopyTo(_memory.Write(new Gpa(Code), code.Length));
        WriteRing3Frame();
        _vcpu.Set(KvmIoctls.KVM_SET_MP_STATE, default); // runnable: the one before may have been stopped while it slept
        _vcpu.Set(KvmIoctls.KVM_SET_SREGS, _sregs);
        _vcpu.Set(KvmIoctls.KVM_SET_REGS, new KvmRegs
        {
            Rip = Code,
            Rsp = KernelStack - (5 * sizeof(ulong)),
            Rflags = Rflags,
            Rdi = rdi,
            Rcx = rcx,
        });
        return Continue(limitMillis);
    }

    /// <summary>Lets the micro-guest go on after it has come back.</summary>
    internal ProbeExit Continue(int limitMillis = RunLimitMillis)
    {
        _watchdog.Arm(limitMillis);
        int errno;
        // The runtime's own signals end KVM_RUN as well: only the watchdog's count.
        while ((errno = _run.Enter()) is Libc.EINTR or Libc.EAGAIN && !_run.ImmediateExit)
        {
        }

        bool timedOut = _watchdog.Disarm() && errno != 0;
        if (errno != 0 && !timedOut) throw new KvmException("KVM_RUN", errno);
        Hung |= timedOut && limitMillis == RunLimitMillis;
        bool port = !timedOut && _run.ExitReason == KvmExit.Io;
        return new ProbeExit(timedOut, _run.ExitReason, port ? _run.Io.Port : (ushort)0, port ? _run.IoData()[0] : (byte)0);
    }

    /// <summary>The registers, while the micro-guest is back.</summary>
    internal KvmRegs ReadRegs()
    {
        _vcpu.Get(KvmIoctls.KVM_GET_REGS, out KvmRegs regs);
        return regs;
    }

    public void Dispose()
    {
        // Null where the constructor did not get that far.
        _watchdog?.Dispose();
        _run?.Dispose();
        _vcpu?.Dispose();
        Vm?.Dispose();
        _memory?.Dispose();
        _file.Dispose();
    }

    private void WriteTables()
    {
        // Flat segments (Intel SDM vol. 3 §3.4.5) in the order that SYSRETQ wants: user SS, user CS after a 32-bit CS's place.
        Write(Gdt, 0, 0x00AF_9B00_0000_FFFF, 0x00CF_9300_0000_FFFF, 0, 0x00CF_F300_0000_FFFF, 0x00AF_FB00_0000_FFFF,
            0x0000_8B00_0000_0067 | (Tss << 16), 0);
        Write(Tss + 4, InterruptStack); // RSP0
        // One 2 MiB page for everything, open to ring 3.
        const ulong Open = 0x7, Large = 0x80;
        Write(PageTables, (PageTables + 0x1000) | Open);
        Write(PageTables + 0x1000, (PageTables + 0x2000) | Open);
        Write(PageTables + 0x2000, Open | Large);

        byte[] stubs = MicroGuests.ExceptionStubs();
        stubs.CopyTo(_memory.Write(new Gpa(ExceptionStubs), stubs.Length));
        for (uint vector = 0; vector < MicroGuests.ExceptionCount; vector++)
            WriteGate(vector, ExceptionStubs + (vector * MicroGuests.ExceptionStubSize), ring: 0);
        WriteGate(3, WriteHandler(0, MicroGuests.ReturnHandler), ring: 0);
        WriteGate(MicroGuests.InterruptVector, WriteHandler(1, MicroGuests.InterruptHandler), ring: 0);
        WriteGate(0x80, WriteHandler(2, MicroGuests.Int80Handler), ring: 3);
        MicroGuests.Ring3.CopyTo(_memory.Write(new Gpa(UserCode), MicroGuests.Ring3.Length));
    }

    private ulong WriteHandler(uint slot, ReadOnlySpan<byte> code)
    {
        ulong address = Handlers + (slot * HandlerSize);
        code.CopyTo(_memory.Write(new Gpa(address), code.Length));
        return address;
    }

    // A 64-bit interrupt gate (Intel SDM vol. 3 §6.14.1). All handlers lie below 64 KiB.
    private void WriteGate(uint vector, ulong handler, uint ring) =>
        Write(Idt + (vector * 16), handler | ((ulong)KernelCs << 16) | ((0x8E00UL | (ring << 13)) << 32), 0);

    private void WriteRing3Frame() =>
        Write(KernelStack - (5 * sizeof(ulong)), UserCode, UserCs, Rflags, UserStack, UserSs);

    private void Write(ulong address, params ReadOnlySpan<ulong> values)
    {
        foreach (ulong value in values)
        {
            if (!_memory.TryStore(new Gpa(address), value)) throw new GuestMemoryException(new Gpa(address), sizeof(ulong));
            address += sizeof(ulong);
        }
    }

    private void SetSystemCallMsrs()
    {
        using FamBuffer<KvmMsrs, KvmMsrEntry> msrs = new(3);
        msrs.Header.Count = 3;
        // STAR: kernel CS in bits 32-47; bits 48-63 plus 8 is the user SS, plus 16 the user CS (AMD APM vol. 2 §6.1.1).
        msrs.Entries[0] = new KvmMsrEntry { Index = MsrStar, Data = ((ulong)(UserSs - 8) << 48) | ((ulong)KernelCs << 32) };
        msrs.Entries[1] = new KvmMsrEntry { Index = MsrLstar, Data = WriteHandler(3, MicroGuests.SystemCallHandler) };
        msrs.Entries[2] = new KvmMsrEntry { Index = MsrSyscallMask, Data = RflagsInterrupts };
        int done = _vcpu.Set(KvmIoctls.KVM_SET_MSRS, msrs);
        if (done != 3) throw new KvmException("KVM_SET_MSRS", Libc.EINVAL, $"MSR 0x{msrs.Entries[done].Index:x}");
    }

    // All that KVM supports. Returns whether XSAVE is in it: CR4.OSXSAVE can be set only then.
    private bool GiveCpuid(KvmFd kvm)
    {
        KvmCpuidEntry2[] supported = KvmQueries.SupportedCpuid(kvm);
        using FamBuffer<KvmCpuid2, KvmCpuidEntry2> cpuid = new(supported.Length);
        supported.CopyTo(cpuid.Entries);
        cpuid.Header.Count = (uint)supported.Length;
        _vcpu.Set(KvmIoctls.KVM_SET_CPUID2, cpuid);
        return supported.Any(leaf => leaf.Function == 1 && (leaf.Ecx & (1 << 26)) != 0);
    }

    private static void SetMode(ref KvmSregs sregs, bool xsave)
    {
        sregs.Cr0 = 0x8000_0033; // PE, MP, ET, NE, PG
        sregs.Cr3 = PageTables;
        sregs.Cr4 = 0x20 | Cr4ForSse | (xsave ? Cr4Xsave : 0); // PAE, OSFXSR, OSXMMEXCPT
        sregs.Efer = 0x501; // SCE, LME, LMA
        sregs.Cs = Segment(KernelCs, type: 0xB, longMode: 1);
        sregs.Ds = sregs.Es = sregs.Fs = sregs.Gs = sregs.Ss = Segment(KernelSs, type: 0x3, longMode: 0);
        sregs.Tr = new KvmSegment { Base = Tss, Limit = 0x67, Selector = TssSelector, Type = 0xB, Present = 1 };
        sregs.Gdt = new KvmDtable { Base = Gdt, Limit = (8 * sizeof(ulong)) - 1 };
        sregs.Idt = new KvmDtable { Base = Idt, Limit = 0xFFF };
    }

    private static KvmSegment Segment(ushort selector, byte type, byte longMode) => new()
    {
        Limit = uint.MaxValue,
        Selector = selector,
        Type = type,
        Present = 1,
        S = 1,
        G = 1,
        L = longMode,
        Db = (byte)(1 - longMode),
    };
}
