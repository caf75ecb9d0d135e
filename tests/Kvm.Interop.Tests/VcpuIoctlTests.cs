using System.Runtime.InteropServices;
using TestKit;
using TestKit.Guests;
using Xunit;

namespace Kvm.Interop.Tests;

/// <summary>The ioctls of a vCPU.</summary>
public sealed class VcpuIoctlTests : IDisposable
{
    private const uint MsrTsc = 0x10, MsrStar = 0xC000_0081, MsrLstar = 0xC000_0082, MsrKernelGsBase = 0xC000_0102;

    private readonly BareVm _vm = new(GuestPrograms.Halt(), irqchip: true);

    private VcpuFd Vcpu => _vm.Vcpu;

    public void Dispose() => _vm.Dispose();

    [Fact, Trait("ioctl", "KVM_GET_REGS"), Trait("ioctl", "KVM_SET_REGS")]
    public void General_registers_go_round()
    {
        KvmRegs regs = Bytes.Pattern<KvmRegs>();
        regs.Rflags = 0x246;
        regs.Rip = 0x1234;
        Vcpu.Set(KvmIoctls.KVM_SET_REGS, regs);
        Vcpu.Get(KvmIoctls.KVM_GET_REGS, out KvmRegs got);
        Assert.Equal(Bytes.Of(regs), Bytes.Of(got));
    }

    [Fact, Trait("ioctl", "KVM_GET_SREGS"), Trait("ioctl", "KVM_SET_SREGS")]
    public void System_registers_go_round()
    {
        KvmRegs unused = default;
        Vcpu.Get(KvmIoctls.KVM_GET_SREGS, out KvmSregs sregs);
        GuestPrograms.Halt(GuestMode.Long64).Enter(ref unused, ref sregs);
        sregs.Gdt = new KvmDtable { Base = 0x5000, Limit = 0x3F };
        sregs.Idt = new KvmDtable { Base = 0x6000, Limit = 0xFFF };
        sregs.Cr2 = 0xFFFF_8000_1234_5678;
        sregs.Cr8 = 3;
        sregs.Fs.Base = 0x7FFF_0000_1000;
        Vcpu.Set(KvmIoctls.KVM_SET_SREGS, sregs);
        Vcpu.Get(KvmIoctls.KVM_GET_SREGS, out KvmSregs got);
        Assert.Equal(Bytes.Of(sregs), Bytes.Of(got));
    }

    [Fact, Trait("ioctl", "KVM_GET_SREGS2"), Trait("ioctl", "KVM_SET_SREGS2")]
    public void Page_directory_pointers_go_round()
    {
        const ulong ProtectionEnable = 1, Paging = 1UL << 31, PhysicalAddressExtension = 1 << 5, Valid = 1;
        Vcpu.Get(KvmIoctls.KVM_GET_SREGS2, out KvmSregs2 sregs);
        Assert.Equal(0ul, sregs.Flags); // no PAE paging, no pointers
        sregs.Cr2 = 0x1234_5678;
        // A software KVM has no 32-bit paging: it takes the bit in CR0, and drops it.
        if (!SoftwareKvm.IsHere)
        {
            sregs.Cr0 |= ProtectionEnable | Paging;
            sregs.Cr4 |= PhysicalAddressExtension;
            sregs.Cr3 = 0x9000;
            sregs.Flags = Valid;
            for (int i = 0; i < UInt64Array4.Length; i++) sregs.PageDirectoryPointers[i] = (0x1000ul * (ulong)(i + 16)) | 1;
        }

        Vcpu.Set(KvmIoctls.KVM_SET_SREGS2, sregs);
        Vcpu.Get(KvmIoctls.KVM_GET_SREGS2, out KvmSregs2 got);
        Assert.Equal(Bytes.Of(sregs), Bytes.Of(got));
    }

    [Fact]
    public void Impossible_system_registers_are_refused()
    {
        Vcpu.Get(KvmIoctls.KVM_GET_SREGS, out KvmSregs sregs);
        sregs.Efer = 1 << 10; // long mode active ...
        sregs.Cr0 = 0x8000_0001; // ... and paging on, without PAE
        sregs.Cr4 = 0;
        KvmException e = Assert.Throws<KvmException>(() => Vcpu.Set(KvmIoctls.KVM_SET_SREGS, sregs));
        Assert.Equal(("KVM_SET_SREGS", Libc.EINVAL), (e.Call, e.Errno));
    }

    [Fact, Trait("ioctl", "KVM_GET_MSRS"), Trait("ioctl", "KVM_SET_MSRS")]
    public void Msrs_go_round_and_the_result_is_how_many()
    {
        using FamBuffer<KvmMsrs, KvmMsrEntry> msrs = new(3);
        msrs.Header.Count = 3;
        (uint Index, ulong Value)[] values =
        [
            (MsrStar, 0x001B_0008_0000_0000),
            (MsrLstar, 0xFFFF_8000_0000_1000),
            (MsrKernelGsBase, 0xFFFF_8880_0000_2000),
        ];
        for (int i = 0; i < 3; i++)
            msrs.Entries[i] = new KvmMsrEntry { Index = values[i].Index, Data = values[i].Value };
        Assert.Equal(3, Vcpu.Set(KvmIoctls.KVM_SET_MSRS, msrs));
        foreach (ref KvmMsrEntry entry in msrs.Entries) entry.Data = 0;
        Assert.Equal(3, Vcpu.Exchange(KvmIoctls.KVM_GET_MSRS, msrs));
        Assert.Equal(values, msrs.Entries.ToArray().Select(e => (e.Index, e.Data)));
    }

    [Fact]
    public void Msrs_stop_at_the_first_that_does_not_exist()
    {
        using FamBuffer<KvmMsrs, KvmMsrEntry> msrs = new(3);
        msrs.Header.Count = 3;
        msrs.Entries[0].Index = MsrLstar;
        msrs.Entries[1].Index = 0x4000_FFFF; // no such MSR
        msrs.Entries[2].Index = MsrStar;
        Assert.Equal(1, Vcpu.Exchange(KvmIoctls.KVM_GET_MSRS, msrs));
    }

    [Fact]
    public void The_tsc_runs()
    {
        using FamBuffer<KvmMsrs, KvmMsrEntry> msrs = new(1);
        msrs.Header.Count = 1;
        msrs.Entries[0].Index = MsrTsc;
        Assert.Equal(1, Vcpu.Exchange(KvmIoctls.KVM_GET_MSRS, msrs));
        ulong before = msrs.Entries[0].Data;
        Assert.Equal(1, Vcpu.Exchange(KvmIoctls.KVM_GET_MSRS, msrs));
        Assert.True(msrs.Entries[0].Data > before);
    }

    [Fact, Trait("ioctl", "KVM_GET_LAPIC"), Trait("ioctl", "KVM_SET_LAPIC")]
    public void The_local_apic_goes_round()
    {
        Vcpu.Get(KvmIoctls.KVM_GET_LAPIC, out KvmLapicState lapic);
        lapic[0xF0] = 0xFF;
        lapic[0xF1] = 0x01; // spurious vector 0xFF, APIC on
        lapic[0x350] = 0x31;
        lapic[0x352] = 0x01; // LVT LINT0: vector 0x31, masked
        Vcpu.Set(KvmIoctls.KVM_SET_LAPIC, lapic);
        Vcpu.Get(KvmIoctls.KVM_GET_LAPIC, out KvmLapicState got);
        Assert.Equal(Bytes.Of(lapic), Bytes.Of(got));
    }

    [Fact, Trait("ioctl", "KVM_SET_CPUID2")]
    public void Cpuid_can_be_given_until_the_vcpu_has_run()
    {
        KvmCpuidEntry2[] leaves = KvmQueries.SupportedCpuid(_vm.Kvm);
        using FamBuffer<KvmCpuid2, KvmCpuidEntry2> cpuid = new(leaves.Length);
        leaves.CopyTo(cpuid.Entries);
        cpuid.Header.Count = (uint)leaves.Length;
        Assert.Equal(0, Vcpu.Set(KvmIoctls.KVM_SET_CPUID2, cpuid));
        cpuid.Header.Count = 100_000;
        KvmException e = Assert.Throws<KvmException>(() => Vcpu.Set(KvmIoctls.KVM_SET_CPUID2, cpuid));
        Assert.Equal(("KVM_SET_CPUID2", Libc.E2BIG), (e.Call, e.Errno));
    }

    [Fact, Trait("ioctl", "KVM_GET_MP_STATE"), Trait("ioctl", "KVM_SET_MP_STATE")]
    public void The_run_state_goes_round()
    {
        Vcpu.Get(KvmIoctls.KVM_GET_MP_STATE, out KvmMpState state);
        Assert.Equal(0u, state.State);
        Vcpu.Set(KvmIoctls.KVM_SET_MP_STATE, new KvmMpState { State = 3 }); // halted
        Vcpu.Get(KvmIoctls.KVM_GET_MP_STATE, out state);
        Assert.Equal(3u, state.State);
    }

    [Fact, Trait("ioctl", "KVM_GET_VCPU_EVENTS"), Trait("ioctl", "KVM_SET_VCPU_EVENTS")]
    public void Pending_events_go_round()
    {
        Vcpu.Get(KvmIoctls.KVM_GET_VCPU_EVENTS, out KvmVcpuEvents events);
        events.InterruptInjected = 1;
        events.InterruptNumber = 0x35;
        events.NmiPending = 1;
        events.NmiMasked = 1;
        const uint ValidNmiPending = 1;
        events.Flags |= ValidNmiPending;
        Vcpu.Set(KvmIoctls.KVM_SET_VCPU_EVENTS, events);
        Vcpu.Get(KvmIoctls.KVM_GET_VCPU_EVENTS, out KvmVcpuEvents got);
        Assert.Equal((1, 0x35, 1, 1), (got.InterruptInjected, got.InterruptNumber, got.NmiPending, got.NmiMasked));
    }

    [Fact, Trait("ioctl", "KVM_SET_SIGNAL_MASK")]
    public void A_pending_signal_that_only_the_mask_lets_through_ends_the_run_before_the_guest_runs()
    {
        using FamBuffer<KvmSignalMask, byte> none = new(sizeof(ulong));
        none.Header.Length = sizeof(ulong);
        Vcpu.Get(KvmIoctls.KVM_GET_REGS, out KvmRegs before);
        KickSignal.Hold();
        try
        {
            KickSignal.Send(Libc.gettid());
            Assert.Equal(0, Vcpu.Set(KvmIoctls.KVM_SET_SIGNAL_MASK, none));
            Assert.Equal(Libc.EINTR, _vm.Run.Enter());
            Assert.Equal(Libc.EINTR, _vm.Run.Enter()); // pending still
            Vcpu.Clear(KvmIoctls.KVM_SET_SIGNAL_MASK);
        }
        finally
        {
            KickSignal.Release();
        }

        Vcpu.Get(KvmIoctls.KVM_GET_REGS, out KvmRegs after);
        Assert.Equal(before.Rip, after.Rip);
    }

    [Fact, Trait("ioctl", "KVM_GET_DEBUGREGS"), Trait("ioctl", "KVM_SET_DEBUGREGS")]
    public void Debug_registers_go_round()
    {
        Vcpu.Get(KvmIoctls.KVM_GET_DEBUGREGS, out KvmDebugRegs debug);
        for (int i = 0; i < UInt64Array4.Length; i++) debug.Db[i] = 0x1000 * (ulong)(i + 1);
        debug.Dr7 = 0x401;
        Vcpu.Set(KvmIoctls.KVM_SET_DEBUGREGS, debug);
        Vcpu.Get(KvmIoctls.KVM_GET_DEBUGREGS, out KvmDebugRegs got);
        Assert.Equal(Bytes.Of(debug), Bytes.Of(got));
    }

    [Fact, Trait("ioctl", "KVM_GET_XSAVE"), Trait("ioctl", "KVM_SET_XSAVE")]
    public void Fpu_and_vector_registers_go_round()
    {
        const int ControlWord = 0, MxCsr = 24, Xmm0 = 160, XstateBv = 512;
        Vcpu.Get(KvmIoctls.KVM_GET_XSAVE, out KvmXsave xsave);
        MemoryMarshal.Write(((Span<byte>)xsave)[ControlWord..], (ushort)0x027F);
        MemoryMarshal.Write(((Span<byte>)xsave)[MxCsr..], 0x1F80u);
        for (int i = 0; i < 256; i++) xsave[Xmm0 + i] = (byte)i;
        MemoryMarshal.Write(((Span<byte>)xsave)[XstateBv..], 3UL); // x87 and SSE are in use
        Vcpu.Set(KvmIoctls.KVM_SET_XSAVE, xsave);
        Vcpu.Get(KvmIoctls.KVM_GET_XSAVE, out KvmXsave got);
        Assert.Equal(Bytes.Of(xsave)[Xmm0..(Xmm0 + 256)], Bytes.Of(got)[Xmm0..(Xmm0 + 256)]);
        Assert.Equal(Bytes.Of(xsave)[..2], Bytes.Of(got)[..2]);
    }

    [Fact, Trait("ioctl", "KVM_GET_XCRS"), Trait("ioctl", "KVM_SET_XCRS")]
    public void Extended_control_registers_go_round()
    {
        Vcpu.Get(KvmIoctls.KVM_GET_XCRS, out KvmXcrs xcrs);
        if (_vm.Kvm.Call(KvmIoctls.KVM_CHECK_EXTENSION, (nuint)KvmCap.Xcrs) == 0)
        {
            Assert.Equal(0u, xcrs.Count); // a CPU without XSAVE has none
            return;
        }

        Assert.Equal((1u, 0u), (xcrs.Count, xcrs.Xcrs[0].Number));
        Assert.Equal(1ul, xcrs.Xcrs[0].Value & 1); // x87 is always on
        Vcpu.Set(KvmIoctls.KVM_SET_XCRS, xcrs);
        Vcpu.Get(KvmIoctls.KVM_GET_XCRS, out KvmXcrs got);
        Assert.Equal(Bytes.Of(xcrs), Bytes.Of(got));
        xcrs.Xcrs[0].Value = 0; // impossible
        KvmException e = Assert.Throws<KvmException>(() => Vcpu.Set(KvmIoctls.KVM_SET_XCRS, xcrs));
        Assert.Equal(("KVM_SET_XCRS", Libc.EINVAL), (e.Call, e.Errno));
    }

    [Fact, Trait("ioctl", "KVM_KVMCLOCK_CTRL")]
    public void A_guest_without_kvmclock_cannot_be_told_of_a_pause()
    {
        KvmException e = Assert.Throws<KvmException>(() => Vcpu.Call(KvmIoctls.KVM_KVMCLOCK_CTRL));
        Assert.Equal(("KVM_KVMCLOCK_CTRL", Libc.EINVAL), (e.Call, e.Errno));
        // With kvmclock (MSR_KVM_SYSTEM_TIME_NEW, bit 0 turns it on) it can.
        using FamBuffer<KvmMsrs, KvmMsrEntry> msr = new(1);
        msr.Header.Count = 1;
        msr.Entries[0] = new KvmMsrEntry { Index = 0x4B56_4D01, Data = 0x9000 | 1 };
        Assert.Equal(1, Vcpu.Set(KvmIoctls.KVM_SET_MSRS, msr));
        Assert.Equal(0, Vcpu.Call(KvmIoctls.KVM_KVMCLOCK_CTRL));
    }

    [Fact]
    [Trait("ioctl", "KVM_HAS_DEVICE_ATTR")]
    [Trait("ioctl", "KVM_GET_DEVICE_ATTR"), Trait("ioctl", "KVM_SET_DEVICE_ATTR")]
    public unsafe void The_tsc_offset_goes_round()
    {
        Assert.NotEqual(0, _vm.Kvm.Call(KvmIoctls.KVM_CHECK_EXTENSION, (nuint)KvmCap.VcpuAttributes));
        Assert.Equal(0, Vcpu.Set(KvmIoctls.KVM_HAS_DEVICE_ATTR, default(KvmDeviceAttr)));
        const ulong Wanted = 0xFFFF_FF00_0000_0000;
        ulong offset = Wanted;
        // SAFETY: the kernel reads or writes 8 bytes at a local.
        KvmDeviceAttr attribute = new() { Address = (ulong)&offset };
        Vcpu.Set(KvmIoctls.KVM_SET_DEVICE_ATTR, attribute);
        offset = 0;
        Vcpu.Set(KvmIoctls.KVM_GET_DEVICE_ATTR, attribute);
        // A software KVM shows its guests the host's TSC, says yes to every offset, and keeps none.
        Assert.Equal(SoftwareKvm.IsHere ? 0 : Wanted, offset);
        KvmException e = Assert.Throws<KvmException>(() =>
            Vcpu.Set(KvmIoctls.KVM_HAS_DEVICE_ATTR, new KvmDeviceAttr { Group = 99 }));
        Assert.Equal(("KVM_HAS_DEVICE_ATTR", 6 /* ENXIO */), (e.Call, e.Errno));
    }
}
