using System.Diagnostics;
using System.Runtime.InteropServices;
using CowMemory;
using Kvm.Interop;

namespace Vmm.Machines;

/// <summary>The kernel's part of a machine: memory slots, interrupt controllers, timer, clock, event wiring.</summary>
internal sealed class KvmVm : IDisposable
{
    private const ulong IdentityMapAddress = PlatformMap.KvmPagesStart, TssAddress = PlatformMap.KvmPagesStart + 0x1000;
    private const uint IoeventfdDataMatch = 1, PitSpeakerDummy = 1, MemLogDirtyPages = 1;
    private const ulong NanosecondsPerTick = 100;

    private readonly GuestMemory _memory;

    internal KvmVm(KvmHost host, GuestMemory memory)
    {
        _memory = memory;
        Fd = host.CreateVm();
        try
        {
            Fd.Set(KvmIoctls.KVM_SET_IDENTITY_MAP_ADDR, IdentityMapAddress);
            Fd.Call(KvmIoctls.KVM_SET_TSS_ADDR, (nuint)TssAddress);
            // Without these KVM tells of pending exceptions as if they had begun already, and of triple faults not at all.
            Enable(host, KvmCap.ExceptionPayload);
            Enable(host, KvmCap.X86TripleFaultEvent);
            Fd.Call(KvmIoctls.KVM_CREATE_IRQCHIP);
            Fd.Set(KvmIoctls.KVM_CREATE_PIT2, new KvmPitConfig { Flags = PitSpeakerDummy });
            SetSlots(flags: 0);
        }
        catch
        {
            Fd.Dispose();
            throw;
        }
    }

    internal VmFd Fd { get; }

    /// <summary>Turns KVM's log of guest writes on or off. Turning it on starts with everything clean.</summary>
    internal void LogDirtyPages(bool on) => SetSlots(on ? MemLogDirtyPages : 0);

    /// <summary>Adds the pages the guest wrote since the last call.</summary>
    internal unsafe void CollectDirtyPages(DirtyPages into, DirtyPages scratch)
    {
        uint slot = 0;
        foreach (ref readonly GuestRegion region in _memory.Layout.Regions)
        {
            // A region's bits begin at a multiple of 64: regions start at 0 and 3 GiB in the file.
            fixed (ulong* words = scratch.Words[(int)(region.FileOffset / MemoryLayout.PageSize / 64)..])
            {
                // SAFETY: the kernel writes a bit a page of the slot, rounded up to 64; the set covers the whole memory.
                Fd.Set(KvmIoctls.KVM_GET_DIRTY_LOG, new KvmDirtyLog { Slot = slot++, DirtyBitmap = (ulong)words });
            }
        }

        into.TakeFrom(scratch);
    }

    /// <summary>Sets the level of an interrupt line.</summary>
    internal void SetInterrupt(uint gsi, bool high) =>
        Fd.Set(KvmIoctls.KVM_IRQ_LINE, new KvmIrqLevel { Irq = gsi, Level = high ? 1u : 0 });

    internal void WireInterrupt(EventFd source, uint gsi) =>
        Fd.Set(KvmIoctls.KVM_IRQFD, new KvmIrqfd { Fd = (uint)source.Fd, Gsi = gsi });

    /// <summary>Lets a 32-bit guest write of <paramref name="value"/> signal an event without an exit to user space.</summary>
    internal void WireNotification(EventFd target, ulong address, uint value) =>
        Fd.Set(KvmIoctls.KVM_IOEVENTFD, new KvmIoeventfd
        {
            Address = address,
            Length = sizeof(uint),
            Fd = target.Fd,
            DataMatch = value,
            Flags = IoeventfdDataMatch,
        });

    internal void Save(VmState state)
    {
        Span<KvmIrqchip> chips = MemoryMarshal.Cast<byte, KvmIrqchip>(state.Irqchips.AsSpan());
        for (int i = 0; i < chips.Length; i++)
        {
            chips[i].ChipId = (uint)i;
            Fd.Exchange(KvmIoctls.KVM_GET_IRQCHIP, ref chips[i]);
        }

        Fd.Get(KvmIoctls.KVM_GET_PIT2, out MemoryMarshal.AsRef<KvmPitState2>(state.Pit.AsSpan()));
        // The stamp first: the moment between the two is gained, to make up for the one between reading and setting at the load.
        state.ClockTakenAt = Stopwatch.GetTimestamp();
        Fd.Get(KvmIoctls.KVM_GET_CLOCK, out MemoryMarshal.AsRef<KvmClockData>(state.Clock.AsSpan()));
    }

    /// <summary>Sets kvmclock so that it has gone on since the save by as much time as has passed.</summary>
    /// <remarks>
    /// By the monotonic clock, which both processes share and which nobody sets. KVM_CLOCK_REALTIME would have KVM add what
    /// CLOCK_REALTIME has moved on by: when the host's clock is set in between, the guest's would jump, or stand still.
    /// </remarks>
    internal void LoadClock(VmState state)
    {
        ulong passed = (ulong)Stopwatch.GetElapsedTime(state.ClockTakenAt).Ticks * NanosecondsPerTick;
        Fd.Set(KvmIoctls.KVM_SET_CLOCK, new KvmClockData
        {
            Clock = MemoryMarshal.AsRef<KvmClockData>(state.Clock.AsSpan()).Clock + passed,
        });
    }

    /// <summary>Loads timer and interrupt controllers. What waits in the IOAPIC goes on to the local APICs: load those before.</summary>
    internal void LoadInterrupts(VmState state)
    {
        Fd.Set(KvmIoctls.KVM_SET_PIT2, MemoryMarshal.AsRef<KvmPitState2>(state.Pit.AsSpan()));
        foreach (ref readonly KvmIrqchip chip in MemoryMarshal.Cast<byte, KvmIrqchip>(state.Irqchips.AsSpan()))
            Fd.Set(KvmIoctls.KVM_SET_IRQCHIP, chip);
    }

    public void Dispose() => Fd.Dispose();

    private void Enable(KvmHost host, KvmCap capability)
    {
        if (host.Check(capability) == 0) return;
        KvmEnableCap enable = new() { Capability = (uint)capability };
        enable.Arguments[0] = 1;
        Fd.Set(KvmIoctls.KVM_ENABLE_CAP, enable);
    }

    private void SetSlots(uint flags)
    {
        uint slot = 0;
        foreach (ref readonly GuestRegion region in _memory.Layout.Regions)
        {
            Fd.Set(KvmIoctls.KVM_SET_USER_MEMORY_REGION, new KvmUserspaceMemoryRegion
            {
                Slot = slot++,
                Flags = flags,
                GuestPhysicalAddress = region.Start.Value,
                MemorySize = region.Length,
                UserspaceAddress = (ulong)_memory.HostAddress + region.FileOffset,
            });
        }
    }
}
