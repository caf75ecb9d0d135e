using System.Runtime;
using Kvm.Interop;
using Vmm.Machines;

namespace Cloning;

/// <summary>
/// What a pause is wrapped in, so that it takes as long as its work and not as long as the host's scheduler or the garbage collector
/// have other things to do: its threads are urgent, no processor falls asleep, and no garbage is collected.
/// </summary>
/// <remarks>
/// On a host with more runnable threads than processors every hand-over from thread to thread waits for a time slice otherwise, and a
/// pause has several: docs/pauses.md has the figures.
/// </remarks>
internal sealed class PauseScope : IDisposable
{
    private const uint PausingThread = 2; // before the vCPUs, which have priority 1
    private const long UncollectedBytes = 1 << 20;
    private const long EntryStepNanos = 100_000;
    private const int EntryLimitMillis = 20;
    private static int s_open;

    private readonly Machine _from, _into;
    private readonly SafeFd? _awake;
    private Urgency _self;

    /// <summary>Opens it, on the pausing thread, right before the pause.</summary>
    public PauseScope(Machine from, Machine into)
    {
        (_from, _into) = (from, into);
        _awake = CpuLatency.KeepAwake();
        if (Interlocked.Increment(ref s_open) == 1) GC.TryStartNoGCRegion(UncollectedBytes);
        _self.Raise(Libc.gettid(), PausingThread);
        from.Raise();
        into.Raise();
    }

    /// <summary>Whether the second machine has been let go.</summary>
    public bool Released { get; set; }

    /// <summary>Closes it, on the same thread, when the second machine's vCPUs have entered the guest, or at once where they will not.</summary>
    public void Dispose()
    {
        long limit = Environment.TickCount64 + EntryLimitMillis;
        bool entered = !Released;
        while (!entered && Environment.TickCount64 < limit)
        {
            // No event can tell of the entry: what a vCPU's thread did in order to tell would come before it. And no vCPU that has
            // entered may stay urgent, or those that have to share its processor never do.
            Libc.Sleep(EntryStepNanos);
            entered = _into.Lower(entered: true);
        }

        _from.Lower();
        _into.Lower();
        _self.Lower();
        _awake?.Dispose();
        if (Interlocked.Decrement(ref s_open) == 0) EndNoGCRegion();
    }

    private static void EndNoGCRegion()
    {
        if (GCSettings.LatencyMode != GCLatencyMode.NoGCRegion) return;
        try
        {
            GC.EndNoGCRegion();
        }
        catch (InvalidOperationException)
        {
            // Other threads have allocated so much that it had ended by itself.
        }
    }
}
