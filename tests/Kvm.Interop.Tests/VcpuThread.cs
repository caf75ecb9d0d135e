using TestKit.Guests;

namespace Kvm.Interop.Tests;

/// <summary>
/// A guest that never leaves by itself, in KVM_RUN on a thread of its own, kicked out and let in again.
/// </summary>
/// <remarks>
/// Nothing here is repeated: one request is one write of immediate_exit and one signal. If either could get lost, the
/// answer would never come.
/// </remarks>
internal sealed class VcpuThread : IDisposable
{
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(10);

    private readonly BareVm _vm;
    private readonly Thread _thread;
    private readonly int _waitBeforeEntry;
    private readonly AutoResetEvent _answered = new(false);
    private volatile bool _requested, _ended;
    private int _threadId;
    private volatile Exception? _failure;

    /// <param name="program">The guest.</param>
    /// <param name="irqchip">With it, HLT waits in the kernel.</param>
    /// <param name="waitBeforeEntry">Up to how many turns the thread idles before each KVM_RUN: opens the window that a
    /// kick can fall into.</param>
    internal VcpuThread(GuestProgram program, bool irqchip, int waitBeforeEntry)
    {
        _vm = new BareVm(program, irqchip: irqchip);
        _waitBeforeEntry = waitBeforeEntry;
        _thread = new Thread(Run) { IsBackground = true };
        _thread.Start();
        Wait();
    }

    /// <summary>How often KVM_RUN returned without a request: signals that came late, and the runtime's own.</summary>
    internal int Spurious { get; private set; }

    /// <summary>Kicks the vCPU out and waits, blocked, until it says so.</summary>
    internal void Kick()
    {
        _requested = true;
        _vm.Run.ImmediateExit = true;
        KickSignal.Send(_threadId);
        Wait();
    }

    public void Dispose()
    {
        _ended = true;
        _vm.Run.ImmediateExit = true;
        KickSignal.Send(_threadId);
        _thread.Join();
        _vm.Dispose();
        _answered.Dispose();
    }

    private void Run()
    {
        _threadId = Libc.gettid();
        _answered.Set();
        Random random = new(1);
        try
        {
            while (!_ended)
            {
                if (_waitBeforeEntry > 0) Thread.SpinWait(random.Next(_waitBeforeEntry));
                int errno = _vm.Run.Enter();
                if (errno is not (Libc.EINTR or Libc.EAGAIN))
                    throw new KvmException("KVM_RUN", errno, $"exit {_vm.Run.ExitReason}");
                _vm.Run.ImmediateExit = false;
                // The flag must be down before the request is looked at: a kick in between sets both again.
                Interlocked.MemoryBarrier();
                if (!_requested)
                {
                    Spurious++;
                    continue;
                }

                _requested = false;
                _answered.Set();
            }
        }
        catch (Exception e)
        {
            _failure = e;
            _answered.Set();
        }
    }

    private void Wait()
    {
        bool answered = _answered.WaitOne(s_limit);
        if (_failure is not null) throw new InvalidOperationException("The vCPU thread failed", _failure);
        if (!answered) throw new TimeoutException("A kick was lost");
    }
}
