using Kvm.Interop;

namespace Vmm.HostCheck;

/// <summary>Kicks a vCPU out of KVM_RUN when its time is up, until it is out. One thread, for one vCPU.</summary>
internal sealed class Watchdog : IDisposable
{
    private const int RekickMillis = 10;

    private readonly KvmRun _run;
    private readonly int _vcpuThread;
    private readonly Thread _thread;
    private readonly object _gate = new();
    private long? _deadline; // Environment.TickCount64
    private bool _ended;

    /// <summary>Watches over <paramref name="run"/>, which the calling thread runs.</summary>
    internal Watchdog(KvmRun run)
    {
        _run = run;
        _vcpuThread = Libc.gettid();
        _thread = new Thread(Watch, 256 * 1024) { Name = "probe-watchdog", IsBackground = true };
        _thread.Start();
    }

    /// <summary>Begins to count.</summary>
    internal void Arm(int limitMillis)
    {
        lock (_gate)
        {
            _run.ImmediateExit = false;
            _deadline = Environment.TickCount64 + limitMillis;
            Monitor.Pulse(_gate);
        }
    }

    /// <summary>Stops counting. When it returns, no kick comes any more.</summary>
    /// <returns>Whether the time was up.</returns>
    internal bool Disarm()
    {
        lock (_gate)
        {
            _deadline = null;
            return _run.ImmediateExit;
        }
    }

    /// <summary>Ends the thread.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            _ended = true;
            Monitor.Pulse(_gate);
        }

        _thread.Join();
    }

    private void Watch()
    {
        lock (_gate)
        {
            while (!_ended)
            {
                long left = _deadline - Environment.TickCount64 ?? Timeout.Infinite;
                if (_deadline is null || left > 0)
                {
                    Monitor.Wait(_gate, (int)left);
                    continue;
                }

                // immediate_exit stays set until the next Arm: a kick that comes just before KVM_RUN is not lost.
                _run.ImmediateExit = true;
                KickSignal.Send(_vcpuThread);
                _deadline += RekickMillis;
            }
        }
    }
}
