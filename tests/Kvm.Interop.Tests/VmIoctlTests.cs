using System.Runtime.InteropServices;
using CowMemory;
using TestKit.Guests;
using Xunit;

namespace Kvm.Interop.Tests;

/// <summary>The ioctls of a VM.</summary>
public sealed class VmIoctlTests
{
    private const uint LogDirtyPages = 1;

    [Fact, Trait("ioctl", "KVM_CREATE_VCPU")]
    public void A_vcpu_id_can_be_used_once()
    {
        using BareVm vm = new(GuestPrograms.Halt());
        using VcpuFd second = new(vm.Vm.Call(KvmIoctls.KVM_CREATE_VCPU, 1));
        Assert.NotEqual(vm.Vcpu.Fd, second.Fd);
        KvmException e = Assert.Throws<KvmException>(() => vm.Vm.Call(KvmIoctls.KVM_CREATE_VCPU, 1));
        Assert.Equal(("KVM_CREATE_VCPU", 17 /* EEXIST */), (e.Call, e.Errno));
    }

    [Fact, Trait("ioctl", "KVM_SET_USER_MEMORY_REGION")]
    public void A_slot_can_be_added_and_taken_away()
    {
        using BareVm vm = new(GuestPrograms.Halt());
        KvmUserspaceMemoryRegion slot = new()
        {
            Slot = 5,
            GuestPhysicalAddress = 0x1000_0000,
            MemorySize = MemoryLayout.PageSize,
            UserspaceAddress = (ulong)vm.Memory.HostAddress,
        };
        vm.Vm.Set(KvmIoctls.KVM_SET_USER_MEMORY_REGION, slot);
        KvmUserspaceMemoryRegion overlapping = slot with { Slot = 6 };
        KvmException e = Assert.Throws<KvmException>(() =>
            vm.Vm.Set(KvmIoctls.KVM_SET_USER_MEMORY_REGION, overlapping));
        Assert.Equal(("KVM_SET_USER_MEMORY_REGION", 17 /* EEXIST */), (e.Call, e.Errno));
        slot.MemorySize = 0;
        vm.Vm.Set(KvmIoctls.KVM_SET_USER_MEMORY_REGION, slot);
        vm.Vm.Set(KvmIoctls.KVM_SET_USER_MEMORY_REGION, overlapping);
    }

    [Fact]
    public void A_misaligned_slot_is_refused()
    {
        using BareVm vm = new(GuestPrograms.Halt());
        KvmException e = Assert.Throws<KvmException>(() => vm.Vm.Set(KvmIoctls.KVM_SET_USER_MEMORY_REGION,
            new KvmUserspaceMemoryRegion { Slot = 5, GuestPhysicalAddress = 0x1000_0001, MemorySize = 4096 }));
        Assert.Equal(Libc.EINVAL, e.Errno);
    }

    [Fact, Trait("ioctl", "KVM_GET_DIRTY_LOG")]
    public unsafe void The_dirty_log_names_exactly_the_pages_the_guest_wrote()
    {
        const ulong Size = 4 << 20, From = 3 << 20;
        using BareVm vm = new(GuestPrograms.Worker(new MemoryLayout(Size), new Gpa(From)), Size);
        vm.Ask(WorkerCommand.Report);
        vm.Vm.Set(KvmIoctls.KVM_SET_USER_MEMORY_REGION, new KvmUserspaceMemoryRegion
        {
            Flags = LogDirtyPages,
            MemorySize = Size,
            UserspaceAddress = (ulong)vm.Memory.HostAddress,
        });
        vm.Ask(WorkerCommand.Fill, seed: 7);

        DirtyPages dirty = Read();
        ulong mailbox = GuestMap.Mailbox.Value / MemoryLayout.PageSize;
        ulong tables = GuestMap.PageTables.Value / MemoryLayout.PageSize;
        for (ulong page = 0; page < Size / MemoryLayout.PageSize; page++)
        {
            // Page tables get accessed and dirty bits when the processor, or KVM for it, walks them.
            if (page >= tables && page < tables + 8) continue;
            bool expected = page == mailbox || page >= From / MemoryLayout.PageSize;
            Assert.Equal((page, expected), (page, (dirty.Words[(int)(page / 64)] >> (int)(page % 64) & 1) != 0));
        }

        // Reading it cleared it.
        Assert.Equal(0, Read().Count);

        DirtyPages Read()
        {
            DirtyPages pages = new(Size);
            // SAFETY: the kernel fills a bit a page of the slot, which is as large as the set.
            fixed (ulong* words = pages.Words)
                vm.Vm.Set(KvmIoctls.KVM_GET_DIRTY_LOG, new KvmDirtyLog { DirtyBitmap = (ulong)words });
            return pages;
        }
    }

    [Fact, Trait("ioctl", "KVM_SET_TSS_ADDR"), Trait("ioctl", "KVM_SET_IDENTITY_MAP_ADDR")]
    public void Intels_helper_pages_can_be_placed_before_the_first_vcpu()
    {
        using KvmFd kvm = BareVm.OpenKvm();
        using VmFd vm = new(kvm.Call(KvmIoctls.KVM_CREATE_VM));
        vm.Set(KvmIoctls.KVM_SET_IDENTITY_MAP_ADDR, 0xFEFF_C000UL);
        Assert.Equal(0, vm.Call(KvmIoctls.KVM_SET_TSS_ADDR, 0xFEFF_D000));
        using VcpuFd vcpu = new(vm.Call(KvmIoctls.KVM_CREATE_VCPU, 0));
        KvmException e = Assert.Throws<KvmException>(() => vm.Set(KvmIoctls.KVM_SET_IDENTITY_MAP_ADDR, 0xFEFF_C000UL));
        Assert.Equal(("KVM_SET_IDENTITY_MAP_ADDR", Libc.EINVAL), (e.Call, e.Errno));
    }

    [Fact, Trait("ioctl", "KVM_CREATE_IRQCHIP"), Trait("ioctl", "KVM_CREATE_PIT2")]
    public void Interrupt_controllers_and_timer_can_be_made_once()
    {
        using BareVm vm = new(GuestPrograms.Halt(), irqchip: true);
        KvmException e = Assert.Throws<KvmException>(() => vm.Vm.Call(KvmIoctls.KVM_CREATE_IRQCHIP));
        Assert.Equal(("KVM_CREATE_IRQCHIP", 17 /* EEXIST */), (e.Call, e.Errno));
        e = Assert.Throws<KvmException>(() => vm.Vm.Set(KvmIoctls.KVM_CREATE_PIT2, default(KvmPitConfig)));
        Assert.Equal(("KVM_CREATE_PIT2", 17 /* EEXIST */), (e.Call, e.Errno));
    }

    [Theory, Trait("ioctl", "KVM_GET_IRQCHIP"), Trait("ioctl", "KVM_SET_IRQCHIP")]
    [InlineData(0), InlineData(1), InlineData(2)]
    public void An_interrupt_controllers_state_goes_round(uint chip)
    {
        using BareVm vm = new(GuestPrograms.Halt(), irqchip: true);
        KvmIrqchip state = Get();
        // The PICs' interrupt masks (struct kvm_pic_state) and an IOAPIC's redirection entry (struct kvm_ioapic_state).
        if (chip < 2) state.Chip[2] = 0xA5;
        else MemoryMarshal.Write(((Span<byte>)state.Chip)[(24 + (8 * 5))..], 0x0001_0035UL); // masked, vector 0x35
        vm.Vm.Set(KvmIoctls.KVM_SET_IRQCHIP, state);
        Assert.Equal(Bytes.Of(state), Bytes.Of(Get()));

        KvmIrqchip Get()
        {
            KvmIrqchip got = new() { ChipId = chip };
            vm.Vm.Exchange(KvmIoctls.KVM_GET_IRQCHIP, ref got);
            return got;
        }
    }

    [Fact, Trait("ioctl", "KVM_IRQ_LINE")]
    public void A_raised_line_shows_in_the_pic()
    {
        using BareVm vm = new(GuestPrograms.Halt(), irqchip: true);
        vm.Vm.Set(KvmIoctls.KVM_IRQ_LINE, new KvmIrqLevel { Irq = 5, Level = 1 });
        KvmIrqchip pic = default;
        vm.Vm.Exchange(KvmIoctls.KVM_GET_IRQCHIP, ref pic);
        Assert.Equal(1 << 5, pic.Chip[1] & (1 << 5)); // irr
        vm.Vm.Set(KvmIoctls.KVM_IRQ_LINE, new KvmIrqLevel { Irq = 5, Level = 0 });
    }

    [Fact, Trait("ioctl", "KVM_IRQFD")]
    public void A_signalled_event_interrupts_the_guest_and_a_removed_one_does_not()
    {
        using BareVm vm = new(GuestPrograms.InterruptCounter(line: 5), irqchip: true);
        using EventFd line = EventFd.Create();
        KvmIrqfd wiring = new() { Fd = (uint)line.Fd, Gsi = 5 };
        vm.Vm.Set(KvmIoctls.KVM_IRQFD, wiring);
        Assert.Equal(KvmExit.Io, vm.RunToExit()); // ready
        for (byte i = 1; i <= 50; i++)
        {
            line.Signal();
            Assert.Equal(KvmExit.Io, vm.RunToExit());
            Assert.Equal(i, vm.Run.IoData()[0]);
        }

        const uint Deassign = 1;
        vm.Vm.Set(KvmIoctls.KVM_IRQFD, wiring with { Flags = Deassign });
        line.Signal();
        Assert.True(line.TryDrain()); // nobody else took it
    }

    [Fact, Trait("ioctl", "KVM_IOEVENTFD")]
    public void A_store_to_a_watched_address_signals_the_event_without_an_exit()
    {
        Gpa device = new(0xD000_0000);
        using BareVm vm = new(GuestPrograms.MmioEcho(device));
        using EventFd notified = EventFd.Create(nonBlocking: true);
        KvmIoeventfd wiring = new() { Address = device.Value, Length = 4, Fd = notified.Fd };
        vm.Vm.Set(KvmIoctls.KVM_IOEVENTFD, wiring);
        Assert.Equal((KvmExit.Mmio, 0), (vm.RunToExit(), vm.Run.Mmio.IsWrite));
        Assert.False(notified.TryDrain());
        // The load is completed, the store goes to the event, and the next exit is the next load.
        Assert.Equal((KvmExit.Mmio, 0), (vm.RunToExit(), vm.Run.Mmio.IsWrite));
        Assert.True(notified.TryDrain());

        const uint Deassign = 4;
        vm.Vm.Set(KvmIoctls.KVM_IOEVENTFD, wiring with { Flags = Deassign });
        Assert.Equal((KvmExit.Mmio, 1), (vm.RunToExit(), vm.Run.Mmio.IsWrite));
        Assert.False(notified.TryDrain());
    }

    [Fact, Trait("ioctl", "KVM_ENABLE_CAP")]
    public void Enabled_capabilities_show_in_a_vcpus_events()
    {
        const uint ValidPayload = 0x10, ValidTripleFault = 0x20;
        using BareVm vm = new(GuestPrograms.Halt(), irqchip: true);
        vm.Vcpu.Get(KvmIoctls.KVM_GET_VCPU_EVENTS, out KvmVcpuEvents events);
        Assert.Equal(0u, events.Flags & (ValidPayload | ValidTripleFault));
        foreach (KvmCap capability in new[] { KvmCap.ExceptionPayload, KvmCap.X86TripleFaultEvent })
        {
            KvmEnableCap enable = new() { Capability = (uint)capability };
            enable.Arguments[0] = 1;
            Assert.Equal(0, vm.Vm.Set(KvmIoctls.KVM_ENABLE_CAP, enable));
        }

        vm.Vcpu.Get(KvmIoctls.KVM_GET_VCPU_EVENTS, out events);
        Assert.Equal(ValidPayload | ValidTripleFault, events.Flags & (ValidPayload | ValidTripleFault));
        KvmException e = Assert.Throws<KvmException>(() =>
            vm.Vm.Set(KvmIoctls.KVM_ENABLE_CAP, new KvmEnableCap { Capability = 0xFFFF }));
        Assert.Equal(("KVM_ENABLE_CAP", Libc.EINVAL), (e.Call, e.Errno));
    }

    [Fact, Trait("ioctl", "KVM_GET_CLOCK"), Trait("ioctl", "KVM_SET_CLOCK")]
    public void The_clock_goes_on_from_where_it_is_set()
    {
        using BareVm vm = new(GuestPrograms.Halt());
        const ulong Later = 3_600_000_000_000, Second = 1_000_000_000;
        vm.Vm.Set(KvmIoctls.KVM_SET_CLOCK, new KvmClockData { Clock = Later });
        vm.Vm.Get(KvmIoctls.KVM_GET_CLOCK, out KvmClockData clock);
        Assert.InRange(clock.Clock, Later, Later + (30 * Second));
        vm.Vm.Get(KvmIoctls.KVM_GET_CLOCK, out KvmClockData again);
        Assert.True(again.Clock >= clock.Clock);
    }

    [Fact, Trait("ioctl", "KVM_GET_PIT2"), Trait("ioctl", "KVM_SET_PIT2")]
    public void The_timers_state_goes_round()
    {
        using BareVm vm = new(GuestPrograms.Halt(), irqchip: true);
        vm.Vm.Get(KvmIoctls.KVM_GET_PIT2, out KvmPitState2 pit);
        pit.Channels[2].Count = 0x1234;
        pit.Channels[2].Mode = 3;
        pit.Channels[2].Gate = 1;
        vm.Vm.Set(KvmIoctls.KVM_SET_PIT2, pit);
        vm.Vm.Get(KvmIoctls.KVM_GET_PIT2, out KvmPitState2 got);
        // SET loads the counters anew, so their load times differ.
        for (int i = 0; i < KvmPitChannelArray3.Length; i++)
            got.Channels[i].CountLoadTime = pit.Channels[i].CountLoadTime;
        Assert.Equal(Bytes.Of(pit), Bytes.Of(got));
    }
}
