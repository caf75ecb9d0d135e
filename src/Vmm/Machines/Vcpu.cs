using System.Diagnostics;
using System.Runtime.InteropServices;
using Kvm.Interop;

namespace Vmm.Machines;

/// <summary>
/// A virtual CPU and the thread that runs it. It begins paused and is Paused, Running or Finished; only <see cref="Resume"/>,
/// <see cref="RequestPause"/> with <see cref="WaitPaused"/>, and Dispose change that.
/// </summary>
/// <remarks>
/// The kick: RequestPause sets a flag and kvm_run.immediate_exit, then signals the thread. immediate_exit stays set until the
/// thread itself has seen it, so a signal that arrives just before KVM_RUN is entered is not lost; the signal is only
/// needed to interrupt a guest that runs already. docs/cancellation.md goes through every interleaving.
/// </remarks>
public sealed class Vcpu : IDisposable
{
    private const int WaitStepMillis = 10;
    private const uint UrgentPriority = 1;
    private const long HostTimerNanos = 200_000;

    private readonly VcpuFd _fd;
    private readonly KvmRun _run;
    private readonly IVcpuExits _exits;
    private readonly Thread _thread;
    private readonly ManualResetEventSlim _resume = new(false, spinCount: 0);
    // Spinning here would keep the very CPU busy that the vCPU needs to reach its pause (2 CPUs: milliseconds instead of 20 us).
    private readonly ManualResetEventSlim _paused = new(false, spinCount: 0);
    private readonly FamBuffer<KvmMsrs, KvmMsrEntry> _msrs;
    private readonly FamBuffer<KvmSignalMask, byte> _nothingBlocked = new(sizeof(ulong));
    private readonly bool _hasTscOffset, _hasSregs2;
    private bool _timerSpent; // written by the thread before it parks, read by who saves
    private volatile bool _pauseRequested = true;
    private volatile bool _finished, _rehearsing;
    private Urgency _urgency;
    private int _threadId;
    private long _enteredAt;

    /// <summary>Creates vCPU <paramref name="index"/> of a VM, with its thread, paused.</summary>
    internal Vcpu(KvmHost host, VmFd vm, int index, int count, IVcpuExits exits)
    {
        Index = index;
        _exits = exits;
        _msrs = new FamBuffer<KvmMsrs, KvmMsrEntry>(host.SavedMsrs.Length);
        _msrs.Header.Count = (uint)host.SavedMsrs.Length;
        for (int i = 0; i < host.SavedMsrs.Length; i++) _msrs.Entries[i].Index = host.SavedMsrs[i];
        _nothingBlocked.Header.Length = sizeof(ulong);
        _thread = new Thread(ThreadMain, 256 * 1024) { Name = $"vcpu{index}", IsBackground = true };
        try
        {
            _fd = new VcpuFd(vm.Call(KvmIoctls.KVM_CREATE_VCPU, (nuint)index));
            _run = new KvmRun(_fd, host.RunPageSize);
            GuestCpuid.Set(_fd, host, index, count);
            _hasTscOffset = HasTscOffset();
            _hasSregs2 = host.Check(KvmCap.Sregs2) != 0;
            _thread.Start();
        }
        catch
        {
            Release();
            throw;
        }

        _paused.Wait();
    }

    /// <summary>Number of the vCPU, which is its APIC id.</summary>
    public int Index { get; }

    /// <summary>The thread's kernel id, for priorities.</summary>
    public int ThreadId => _threadId;

    /// <summary>When the vCPU went into the guest after the last <see cref="Resume"/> (Stopwatch ticks); 0 while it has not yet.</summary>
    public long EnteredAt => Volatile.Read(ref _enteredAt);

    /// <summary>Makes an empty state of the right size.</summary>
    public VcpuState NewState() => new(_msrs.Capacity);

    /// <summary>Lets a paused vCPU run. Also takes back a request to pause that has not been answered yet.</summary>
    public void Resume()
    {
        _paused.Reset();
        Volatile.Write(ref _enteredAt, 0);
        _pauseRequested = false;
        _resume.Set();
    }

    /// <summary>The CPU time that its thread has used.</summary>
    public TimeSpan CpuTime => Libc.CpuTimeOfThread(_threadId);

    /// <summary>Asks a running vCPU to pause. Does not wait; may be called from any thread, its own included, any number of times.</summary>
    public void RequestPause()
    {
        // The flag first: whoever clears immediate_exit looks at the flag afterwards.
        _pauseRequested = true;
        _run.ImmediateExit = true;
        // The thread clears _paused and then looks at the flag; this sets the flag and then looks at _paused. With both orders
        // kept, one of the two notices the other.
        Interlocked.MemoryBarrier();
        // Where the kernel has no room for a signal, who waits for the pause sends another.
        if (!_paused.IsSet && Libc.gettid() != _threadId) _ = KickSignal.Send(_threadId);
    }

    /// <summary>Waits until the pause asked for has come: the guest does not run and no access is half done.</summary>
    /// <param name="limit">When to give up, in milliseconds of <see cref="Environment.TickCount64"/>.</param>
    /// <returns>False when the limit has come first: the thread hangs in the host, or in a handler.</returns>
    public bool WaitPaused(long limit)
    {
        while (!_paused.Wait(WaitStepMillis))
        {
            if (Environment.TickCount64 >= limit) return false;
            _ = KickSignal.Send(_threadId);
        }

        return true;
    }

    /// <summary>
    /// Goes through all that letting go and pausing consist of, short of entering the guest: first calls and first touches are
    /// slow, and their place is outside a pause. Only while paused.
    /// </summary>
    public void Rehearse()
    {
        _rehearsing = true;
        _paused.Reset();
        _resume.Set();
        _paused.Wait();
        _ = KickSignal.Send(_threadId);
    }

    /// <summary>Has the thread scheduled before everything ordinary on the host, until <see cref="Lower"/>.</summary>
    public void Raise() => _urgency.Raise(_threadId, UrgentPriority);

    /// <summary>Takes <see cref="Raise"/> back.</summary>
    public void Lower() => _urgency.Lower();

    /// <summary>Reads everything. Only while paused.</summary>
    public void Save(VcpuState state)
    {
        _fd.Get(KvmIoctls.KVM_GET_MP_STATE, out As<KvmMpState>(state.MpState));
        _fd.Get(KvmIoctls.KVM_GET_REGS, out As<KvmRegs>(state.Regs));
        if (_hasSregs2) _fd.Get(KvmIoctls.KVM_GET_SREGS2, out As<KvmSregs2>(state.Sregs));
        else _fd.Get(KvmIoctls.KVM_GET_SREGS, out As<KvmSregs>(state.Sregs));
        _fd.Get(KvmIoctls.KVM_GET_XSAVE, out As<KvmXsave>(state.Xsave));
        _fd.Get(KvmIoctls.KVM_GET_XCRS, out As<KvmXcrs>(state.Xcrs));
        _fd.Get(KvmIoctls.KVM_GET_DEBUGREGS, out As<KvmDebugRegs>(state.DebugRegs));
        _fd.Get(KvmIoctls.KVM_GET_LAPIC, out As<KvmLapicState>(state.Lapic));
        if (_timerSpent) OneShotTimer.Disarm(ref As<KvmLapicState>(state.Lapic));
        Check(_fd.Exchange(KvmIoctls.KVM_GET_MSRS, _msrs), "KVM_GET_MSRS");
        MemoryMarshal.AsBytes(_msrs.Entries).CopyTo(state.Msrs);
        _fd.Get(KvmIoctls.KVM_GET_VCPU_EVENTS, out As<KvmVcpuEvents>(state.Events));
        state.TscOffset = _hasTscOffset ? ReadTscOffset() : null;
    }

    /// <summary>Writes everything. Only while paused; the machine's irqchip exists already.</summary>
    /// <remarks>
    /// Order: MP state and registers; SREGS before the LAPIC (they hold its base and mode); the TSC before anything that
    /// counts in it; MSRs, with TSC_DEADLINE last; events last, because setting registers clears pending exceptions.
    /// </remarks>
    public void Load(VcpuState state)
    {
        _timerSpent = false;
        _fd.Set(KvmIoctls.KVM_SET_MP_STATE, As<KvmMpState>(state.MpState));
        _fd.Set(KvmIoctls.KVM_SET_REGS, As<KvmRegs>(state.Regs));
        if (_hasSregs2) _fd.Set(KvmIoctls.KVM_SET_SREGS2, As<KvmSregs2>(state.Sregs));
        else _fd.Set(KvmIoctls.KVM_SET_SREGS, As<KvmSregs>(state.Sregs));
        // A processor without XSAVE has none of these registers, and KVM refuses to set none.
        if (As<KvmXcrs>(state.Xcrs).Count > 0) _fd.Set(KvmIoctls.KVM_SET_XCRS, As<KvmXcrs>(state.Xcrs));
        _fd.Set(KvmIoctls.KVM_SET_XSAVE, As<KvmXsave>(state.Xsave));
        _fd.Set(KvmIoctls.KVM_SET_DEBUGREGS, As<KvmDebugRegs>(state.DebugRegs));
        _fd.Set(KvmIoctls.KVM_SET_LAPIC, As<KvmLapicState>(state.Lapic));
        LoadMsrs(state);
        _fd.Set(KvmIoctls.KVM_SET_VCPU_EVENTS, As<KvmVcpuEvents>(state.Events));
    }

    /// <summary>Tells the guest's soft-lockup watchdog that the host stopped it. A guest without kvmclock does not care.</summary>
    public void TellPaused()
    {
        // EINVAL: the guest has not set kvmclock up.
        _ = _fd.TryCall(KvmIoctls.KVM_KVMCLOCK_CTRL);
    }

    /// <summary>Registers, for entry points and diagnostics. Only while paused.</summary>
    public (KvmRegs Regs, KvmSregs Sregs) ReadRegisters()
    {
        _fd.Get(KvmIoctls.KVM_GET_REGS, out KvmRegs regs);
        _fd.Get(KvmIoctls.KVM_GET_SREGS, out KvmSregs sregs);
        return (regs, sregs);
    }

    /// <summary>Sets registers, for entry points. Only while paused.</summary>
    public void WriteRegisters(in KvmRegs regs, in KvmSregs sregs)
    {
        _fd.Set(KvmIoctls.KVM_SET_SREGS, sregs);
        _fd.Set(KvmIoctls.KVM_SET_REGS, regs);
    }

    /// <summary>Ends the thread and closes the vCPU.</summary>
    public void Dispose()
    {
        _finished = true;
        RequestPause();
        _resume.Set();
        while (!_thread.Join(WaitStepMillis)) _ = KickSignal.Send(_threadId);
        Release();
    }

    /// <summary>Gives back what there is: the constructor may have failed half-way.</summary>
    private void Release()
    {
        _run?.Dispose();
        _fd?.Dispose();
        _msrs.Dispose();
        _nothingBlocked.Dispose();
        _resume.Dispose();
        _paused.Dispose();
    }

    private static ref T As<T>(byte[] bytes) where T : unmanaged => ref MemoryMarshal.AsRef<T>(bytes.AsSpan());

    private void ThreadMain()
    {
        _threadId = Libc.gettid();
        while (Park())
        {
            try
            {
                // A rehearsal leaves out what would enter the guest.
                if (!_rehearsing) RunGuest();
                _rehearsing = false;
                Drain();
            }
            catch (Exception e)
            {
                // An exception on this thread would end the process, and every other machine in it.
                _rehearsing = false;
                _pauseRequested = true;
                _exits.Failed(this, e);
            }
        }
    }

    /// <summary>Stands still until the vCPU is let go.</summary>
    /// <returns>False when it is to end.</returns>
    private bool Park()
    {
        while (true)
        {
            _paused.Set();
            _resume.Wait();
            _resume.Reset();
            if (_finished) return false;
            if (_rehearsing) return true;
            _paused.Reset();
            Interlocked.MemoryBarrier(); // see RequestPause
            // Let go for a pause that was taken back before it had come, or paused again before it woke: it stays.
            if (!_pauseRequested) return true;
        }
    }

    private void RunGuest()
    {
        ForgetKick();
        Volatile.Write(ref _enteredAt, Stopwatch.GetTimestamp());
        while (!_pauseRequested) Step();
    }

    private void Step()
    {
        int errno = _run.Enter();
        switch (errno)
        {
            case 0:
                _exits.Handle(this, _run);
                break;
            case Libc.EINTR or Libc.EAGAIN: // kicked, or the runtime's own signal: the loop looks at the flag
                ForgetKick();
                break;
            default:
                throw new KvmException("KVM_RUN", errno);
        }
    }

    private void ForgetKick()
    {
        _run.ImmediateExit = false;
        // Without the barrier the flag could be read before the line above is visible, and a kick in between be lost.
        Interlocked.MemoryBarrier();
    }

    /// <summary>Port and MMIO results are consumed by the next KVM_RUN: registers saved before that would be wrong (api.rst §5).</summary>
    private void Drain()
    {
        _run.ImmediateExit = true;
        int errno;
        // An access that KVM has split completes in several exits.
        while ((errno = _run.Enter()) == 0) _exits.Handle(this, _run);
        if (errno is not (Libc.EINTR or Libc.EAGAIN)) throw new KvmException("KVM_RUN", errno);
        _fd.Get(KvmIoctls.KVM_GET_LAPIC, out KvmLapicState lapic);
        // One that expires from here on is for the next machine to fire: the saved count will tell.
        _timerSpent = OneShotTimer.HasExpired(lapic);
        if (_timerSpent) DeliverTimer();
    }

    /// <summary>Sees to it that the interrupt of a timer that has expired is in the local APIC, unless the guest has had it already.</summary>
    private void DeliverTimer()
    {
        InjectTimer();
        _fd.Get(KvmIoctls.KVM_GET_LAPIC, out KvmLapicState lapic);
        if (OneShotTimer.IsRequested(lapic)) return;
        // The count stands at zero from when the timer is due, the interrupt is there when the host's timer behind it has come, which
        // may be late, and nothing tells. One of our own that is due later comes later.
        Libc.Sleep(HostTimerNanos);
        InjectTimer();
    }

    /// <summary>
    /// Has KVM turn an expired timer into a pending interrupt, which it does on its way out of KVM_RUN, but not when
    /// immediate_exit is set. A signal that is pending already keeps it from entering the guest, too.
    /// </summary>
    private void InjectTimer()
    {
        KickSignal.Hold();
        try
        {
            // Without it the guest would be entered.
            while (!KickSignal.Send(_threadId)) Libc.Sleep(HostTimerNanos);
            _fd.Set(KvmIoctls.KVM_SET_SIGNAL_MASK, _nothingBlocked);
            _run.ImmediateExit = false;
            int errno;
            while ((errno = _run.Enter()) == 0) _exits.Handle(this, _run);
            if (errno is not (Libc.EINTR or Libc.EAGAIN)) throw new KvmException("KVM_RUN", errno);
        }
        finally
        {
            _run.ImmediateExit = true;
            _fd.Clear(KvmIoctls.KVM_SET_SIGNAL_MASK);
            KickSignal.Release();
        }
    }

    private void LoadMsrs(VcpuState state)
    {
        Span<KvmMsrEntry> entries = _msrs.Entries;
        Span<KvmMsrEntry> saved = MemoryMarshal.Cast<byte, KvmMsrEntry>(state.Msrs.AsSpan());
        if (saved.Length != entries.Length) throw new InvalidDataException("The saved state has other MSRs than this host");
        saved.CopyTo(entries);
        if (state.TscOffset is ulong offset && _hasTscOffset)
        {
            WriteTscOffset(offset);
            // Writing IA32_TSC would turn the clock back to the moment of the save: an offset lets it go on instead.
            entries[0] = entries[^1];
        }

        Check(_fd.Set(KvmIoctls.KVM_SET_MSRS, _msrs), "KVM_SET_MSRS");
        for (int i = 0; i < entries.Length; i++) entries[i].Index = saved[i].Index;
    }

    private void Check(int done, string ioctl)
    {
        if (done == _msrs.Capacity) return;
        throw new KvmException(ioctl, Libc.EINVAL, $"MSR 0x{_msrs.Entries[done].Index:x}");
    }

    private bool HasTscOffset()
    {
        try
        {
            return _fd.Set(KvmIoctls.KVM_HAS_DEVICE_ATTR, new KvmDeviceAttr()) == 0;
        }
        catch (KvmException)
        {
            return false;
        }
    }

    private unsafe ulong ReadTscOffset()
    {
        ulong offset;
        // SAFETY: the kernel writes 8 bytes to a local. Group 0, attribute 0: KVM_VCPU_TSC_CTRL, KVM_VCPU_TSC_OFFSET.
        _fd.Set(KvmIoctls.KVM_GET_DEVICE_ATTR, new KvmDeviceAttr { Address = (ulong)&offset });
        return offset;
    }

    private unsafe void WriteTscOffset(ulong offset) =>
        // SAFETY: the kernel reads 8 bytes from the parameter.
        _fd.Set(KvmIoctls.KVM_SET_DEVICE_ATTR, new KvmDeviceAttr { Address = (ulong)&offset });
}
