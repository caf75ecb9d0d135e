using CowMemory;
using Kvm.Interop;
using Pauses;
using TestKit.Disks;
using TestKit.Guests;
using VirtioBlk;
using Vmm.Boot;
using Vmm.Devices;
using Vmm.Machines;
using Xunit;

namespace Cloning.Tests;

/// <summary>The pauses themselves, on this host's /dev/kvm, with a guest that counts on every vCPU.</summary>
public sealed class PauseTests : IDisposable
{
    private const ulong MemoryBytes = 16 << 20;
    // What the runtime makes for a thread that waits for an event the first time; nothing that grows with anything but vCPUs.
    private const long FirstWaitBytes = 64, FirstWaitBytesPerVcpu = 24;
    private readonly KvmHost _host = KvmHost.Open();

    public void Dispose() => _host.Dispose();

    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    public void A_move_allocates_next_to_nothing_and_every_vcpu_goes_on(int cpus)
    {
        using WorkerMachine from = WorkerMachine.Started(_host, cpus, MemoryBytes);
        using WorkerMachine into = new(_host, cpus, from.Machine.File.Duplicate(), MemoryView.Private);
        MachineState state = from.Machine.NewState();
        into.Machine.Rehearse(state);
        Pause pause = new();
        MachineMove.Run(from.Machine, into.Machine, state, whilePaused: static () => { }, pause);

        Assert.InRange(pause.AllocatedBytes, 0, FirstWaitBytes + (cpus * FirstWaitBytesPerVcpu));
        into.AwaitCounting();
        PauseParts parts = pause.Parts;
        Assert.InRange(parts.Stop + parts.Save + parts.Load + parts.Release + parts.Enter, pause.Micros - 5, pause.Micros + 5);
    }

    [Fact]
    public async Task A_guest_that_ends_before_all_its_vcpus_have_entered_it_has_a_pause_all_the_same()
    {
        using WorkerMachine into = new(_host, 2, MemoryFile.Create("ends-at-once", MemoryBytes), MemoryView.Shared);
        Pause pause = new();
        pause.Begin();
        into.Machine.RequestReset(); // as its first vCPU would, before the second has entered
        into.Machine.Run();
        pause.EndsWith(into.Machine);
        CancellationToken cancellation = TestContext.Current.CancellationToken;
        Assert.InRange(await Task.Run(() => pause.Micros, cancellation).WaitAsync(TimeSpan.FromSeconds(60), cancellation), 1, 60_000_000);
    }

    [Fact]
    public void A_machine_rests_for_a_while_and_goes_on_and_one_that_ended_stays_as_it_is()
    {
        using WorkerMachine guest = WorkerMachine.Started(_host, 2, MemoryBytes);
        TimeSpan used = guest.Machine.CpuTime();
        guest.AwaitCounting();
        Assert.True(guest.Machine.CpuTime() > used);

        Assert.True(guest.Machine.TryRest());
        (ulong counted, used) = (guest.Counted, guest.Machine.CpuTime());
        Thread.Sleep(100); // in which it would count some thousands
        Assert.Equal(counted, guest.Counted);
        Assert.True(guest.Machine.CpuTime() - used < TimeSpan.FromMilliseconds(50), "its threads are still busy"); // falling asleep takes some
        guest.Machine.EndRest();
        guest.AwaitCounting();

        guest.Machine.RequestReset();
        Assert.True(guest.Machine.TryRest());
        guest.Machine.EndRest();
        counted = guest.Counted;
        Thread.Sleep(50);
        Assert.Equal(counted, guest.Counted);
    }

    [Fact]
    public void No_processor_sleeps_in_a_pause()
    {
        using WorkerMachine from = WorkerMachine.Started(_host, 1, MemoryBytes);
        using WorkerMachine into = new(_host, 1, from.Machine.File.Duplicate(), MemoryView.Private);
        MachineState state = from.Machine.NewState();
        into.Machine.Rehearse(state);
        int before = AllowedLatency(), during = -1;
        MachineMove.Run(from.Machine, into.Machine, state, whilePaused: () => during = AllowedLatency(), new Pause());

        Assert.Equal((true, 0, before), (before > 0, during, AllowedLatency()));

        // In microseconds.
        static int AllowedLatency() => BitConverter.ToInt32(File.ReadAllBytes(CpuLatency.Device));
    }

    [Fact]
    public void A_pause_that_times_out_is_taken_back_on_every_vcpu()
    {
        using ManualResetEventSlim busy = new(), release = new();
        bool hold = false;
        using WorkerMachine guest = WorkerMachine.Started(_host, 2, MemoryBytes, () =>
        {
            if (!Volatile.Read(ref hold)) return;
            busy.Set();
            release.Wait();
        });
        Volatile.Write(ref hold, true);
        guest.Post(WorkerCommand.Report);
        busy.Wait(TestContext.Current.CancellationToken);

        Assert.Throws<TimeoutException>(() => guest.Machine.Pause());
        guest.AwaitOthersCounting(); // it had parked
        Volatile.Write(ref hold, false);
        release.Set();
        guest.AwaitCounting(); // the late one is not parked by the request that was given up

        // And the next pause is a pause: nothing counts in it, on any vCPU.
        for (int i = 0; i < 100; i++)
        {
            guest.Machine.Pause();
            ulong counted = guest.Counted;
            Assert.Equal(counted, guest.Counted);
            guest.Machine.Run();
        }

        guest.AwaitCounting();
    }

    [Fact]
    public async Task A_pause_that_waits_for_a_stalled_disk_is_taken_back()
    {
        using ManualResetEventSlim begun = new(), release = new();
        FaultInjectingDisk disk = new(new MemoryDisk((TinyOs.ReadSector + 1) * 512));
        disk.Before = (operation, _) =>
        {
            if (operation != nameof(IBlockBackend.Write)) return;
            begun.Set();
            release.Wait();
        };
        Prompt console = new();
        MemoryFile memory = MemoryFile.Create("stalled", MemoryBytes);
        using Machine machine = new(_host, new MachineSpec(1, [new DiskSlot(disk, "stalled")], console), memory, MemoryView.Shared);
        string kernel = Path.GetTempFileName();
        try
        {
            File.WriteAllBytes(kernel, TinyOs.Kernel('1', MemoryBytes));
            machine.Boot(new LinuxBootConfig(kernel, InitrdPath: null, CommandLine: ""));
            machine.Run();
            begun.Wait(TestContext.Current.CancellationToken);
            Task pause = Task.Run(() => machine.Pause(), TestContext.Current.CancellationToken);
            TimeoutException e = await Assert.ThrowsAsync<TimeoutException>(() => pause.WaitAsync(TimeSpan.FromMinutes(1), CancellationToken.None));
            Assert.Contains("disk 0", e.Message, StringComparison.Ordinal);
            release.Set();
            // It runs on, and its request is answered: it goes on booting, through further ones.
            console.Seen.Wait(TestContext.Current.CancellationToken);
            machine.Pause();
        }
        finally
        {
            release.Set();
            File.Delete(kernel);
        }
    }

    /// <summary>Sees the guest's prompt.</summary>
    private sealed class Prompt : ISerialOutput
    {
        private readonly List<byte> _written = [];

        public ManualResetEventSlim Seen { get; } = new();

        public void Write(ReadOnlySpan<byte> bytes)
        {
            _written.AddRange(bytes);
            if (System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_written).EndsWith("login: "u8)) Seen.Set();
        }
    }
}
