using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;
using BenchmarkDotNet.Attributes;
using CowMemory;
using Kvm.Interop;
using TestKit.Guests;

namespace Downtime.Baselines;

/// <summary>
/// The other way to put a running guest onto a private view of its memory: its VM and vCPU stay, the memory slots are pointed at the
/// other mapping. KVM throws its own page tables away inside the call.
/// </summary>
/// <remarks>
/// In its favour, the state that a shadow would need is not saved, and nothing but the slots has to follow the memory to its new
/// place. Not sealed, and public, because BenchmarkDotNet derives from it.
/// </remarks>
[SuppressMessage("Design", "CA1001", Justification = "Stop disposes: BenchmarkDotNet calls it.")]
public class SlotSwapBenchmarks
{
    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(1);
    private readonly ManualResetEventSlim _parked = new(), _resume = new();
    private BareVm _vm = null!;
    private Thread _vcpu = null!;
    private GuestMemory _private = null!;
    private volatile bool _pause, _end;
    private int _threadId;
    private long _enteredAt;

    /// <summary>The guest's memory.</summary>
    [ParamsSource(typeof(Plan), nameof(Plan.MemorySizes))]
    public int MemoryMiB { get; set; }

    [GlobalSetup]
    public void Start()
    {
        ulong bytes = (ulong)MemoryMiB << 20;
        _vm = new BareVm(GuestPrograms.Worker(new MemoryLayout(bytes)), bytes);
        _vm.Ask(WorkerCommand.Fill, seed: 1);
        _vcpu = new Thread(RunVcpu) { IsBackground = true, Name = "vcpu" };
        _vcpu.Start();
    }

    [IterationSetup]
    public void Prepare()
    {
        _private = GuestMemory.Map(_vm.File, _vm.Memory.Layout, MemoryView.Private);
        AwaitCounting(_vm.Memory);
    }

    /// <summary>From the request to stop until the vCPU enters the guest again.</summary>
    [Benchmark]
    public long SlotSwap()
    {
        Urgency self = default, vcpu = default;
        self.Raise(Libc.gettid(), 2);
        vcpu.Raise(_threadId, 1);
        long begin = Stopwatch.GetTimestamp();
        PauseVcpu();
        PointSlotsAt(_private);
        Resume();
        while (Volatile.Read(ref _enteredAt) == 0) Thread.Yield();
        long micros = (long)Stopwatch.GetElapsedTime(begin, _enteredAt).TotalMicroseconds;
        vcpu.Lower();
        self.Lower();
        return PauseSamples.Add(nameof(SlotSwap), MemoryMiB, cpus: 1, micros);
    }

    [IterationCleanup]
    public void GoBack()
    {
        AwaitCounting(_private);
        PauseVcpu();
        PointSlotsAt(_vm.Memory);
        Resume();
        _private.Dispose();
    }

    [GlobalCleanup]
    public void Stop()
    {
        PauseVcpu();
        _end = true;
        Resume();
        _vcpu.Join();
        _vm.Dispose();
        _parked.Dispose();
        _resume.Dispose();
    }

    private void RunVcpu()
    {
        _threadId = Libc.gettid();
        while (!_end)
        {
            _vm.Run.ImmediateExit = false;
            Volatile.Write(ref _enteredAt, Stopwatch.GetTimestamp());
            while (!_pause)
            {
                if (_vm.Run.Enter() is not (Libc.EINTR or Libc.EAGAIN) and var errno)
                    throw new InvalidOperationException($"the guest left KVM_RUN: {errno}, {_vm.Run.ExitReason} {_vm.Run.ExitDetail}");
            }

            _parked.Set();
            _resume.Wait();
            _resume.Reset();
        }
    }

    private void PauseVcpu()
    {
        _pause = true;
        _vm.Run.ImmediateExit = true;
        // A kick that comes before the vCPU is in KVM_RUN is caught by immediate_exit.
        KickSignal.Send(_threadId);
        if (!_parked.Wait(s_patience)) throw new InvalidOperationException("the vCPU does not stop");
    }

    private void Resume()
    {
        _parked.Reset();
        _pause = false;
        Volatile.Write(ref _enteredAt, 0);
        _resume.Set();
    }

    private void PointSlotsAt(GuestMemory memory)
    {
        uint slot = 0;
        foreach (GuestRegion region in memory.Layout.Regions)
        {
            KvmUserspaceMemoryRegion wanted = new()
            {
                Slot = slot++,
                GuestPhysicalAddress = region.Start.Value,
                MemorySize = region.Length,
                UserspaceAddress = (ulong)memory.HostAddress + region.FileOffset,
            };
            // A slot's place in the host cannot be changed: it is deleted and made again (api.rst, 4.35).
            _vm.Vm.Set(KvmIoctls.KVM_SET_USER_MEMORY_REGION, wanted with { MemorySize = 0 });
            _vm.Vm.Set(KvmIoctls.KVM_SET_USER_MEMORY_REGION, wanted);
        }
    }

    private static void AwaitCounting(GuestMemory memory)
    {
        GuestMailbox mailbox = new(memory);
        ulong before = mailbox.Counter;
        if (!SpinWait.SpinUntil(() => mailbox.Counter != before, s_patience)) throw new InvalidOperationException("the guest does not run");
    }
}
