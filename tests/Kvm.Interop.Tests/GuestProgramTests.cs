using System.Diagnostics;
using CowMemory;
using TestKit.Guests;
using Xunit;

namespace Kvm.Interop.Tests;

/// <summary>The test guests do what they say on this host's KVM: everything above them relies on it.</summary>
public sealed class GuestProgramTests(ITestOutputHelper output)
{
    [Theory]
    [InlineData(GuestMode.Real16)]
    [InlineData(GuestMode.Long64)]
    public void Halt_leaves_with_a_halt_exit_when_no_irqchip_is_there(GuestMode mode)
    {
        using BareVm vm = new(GuestPrograms.Halt(mode));
        Assert.Equal(KvmExit.Hlt, vm.RunToExit());
        Assert.Equal(KvmExit.Hlt, vm.RunToExit());
    }

    [Fact]
    public void Port_echo_reads_a_byte_and_writes_it_back_plus_one()
    {
        using BareVm vm = new(GuestPrograms.PortEcho());
        for (byte i = 0; i < 200; i++)
        {
            Assert.Equal(KvmExit.Io, vm.RunToExit());
            KvmRunIo io = vm.Run.Io;
            Assert.Equal((0, 1, 1u, GuestPrograms.TestPort), (io.Direction, io.Size, io.Count, io.Port));
            vm.Run.IoData()[0] = i;
            Assert.Equal(KvmExit.Io, vm.RunToExit());
            Assert.Equal(1, vm.Run.Io.Direction);
            Assert.Equal(i + 1, vm.Run.IoData()[0]);
        }
    }

    [Fact]
    public void Mmio_echo_loads_a_word_and_stores_it_back_plus_one()
    {
        Gpa device = new(0xD000_0000);
        using BareVm vm = new(GuestPrograms.MmioEcho(device));
        for (byte i = 0; i < 200; i++)
        {
            Assert.Equal(KvmExit.Mmio, vm.RunToExit());
            Assert.Equal((device.Value, 4u, 0), (vm.Run.Mmio.PhysicalAddress, vm.Run.Mmio.Length, vm.Run.Mmio.IsWrite));
            vm.Run.Mmio.Data[0] = i;
            Assert.Equal(KvmExit.Mmio, vm.RunToExit());
            Assert.Equal((device.Value, 4u, 1), (vm.Run.Mmio.PhysicalAddress, vm.Run.Mmio.Length, vm.Run.Mmio.IsWrite));
            Assert.Equal(i + 1, vm.Run.Mmio.Data[0]);
        }
    }

    [Theory]
    [InlineData(16UL << 20, 1UL << 20)]
    [InlineData(MemoryLayout.HoleStart + (4UL << 20), MemoryLayout.HoleStart - (4UL << 20))]
    public void Worker_fills_memory_on_both_sides_of_the_hole_and_notices_one_changed_page(ulong size, ulong from)
    {
        MemoryLayout layout = new(size);
        using BareVm vm = new(GuestPrograms.Worker(layout, new Gpa(from)), size);
        const ulong Seed = 0x1234_5678_9ABC_DEF0;
        ulong pages = (size - from) / MemoryLayout.PageSize;

        long start = Stopwatch.GetTimestamp();
        Assert.Equal(pages, vm.Ask(WorkerCommand.Fill, Seed));
        output.WriteLine($"{pages} pages filled in {Stopwatch.GetElapsedTime(start).TotalMilliseconds:F1} ms");
        foreach (GuestRegion region in layout.Regions)
        {
            Gpa last = region.Start + (region.Length - MemoryLayout.PageSize);
            Assert.True(vm.Memory.TryLoad(last, out ulong value));
            Assert.Equal(unchecked(Seed + last.Value), value);
        }

        start = Stopwatch.GetTimestamp();
        Assert.Equal(0UL, vm.Ask(WorkerCommand.Check, Seed));
        output.WriteLine($"checked in {Stopwatch.GetElapsedTime(start).TotalMilliseconds:F1} ms");
        Assert.Equal(pages, vm.Ask(WorkerCommand.Check, Seed + 1));
        GuestRegion top = layout.Regions[^1];
        Assert.True(vm.Memory.TryStore(top.Start + (top.Length - MemoryLayout.PageSize), 0UL));
        Assert.Equal(1UL, vm.Ask(WorkerCommand.Check, Seed));

        ulong counted = vm.Ask(WorkerCommand.Report);
        Assert.True(counted > 0);
        Assert.True(vm.Ask(WorkerCommand.Report) > counted);
        vm.Ask(WorkerCommand.Halt);
        Assert.Equal(KvmExit.Hlt, vm.RunToExit());
    }
}
