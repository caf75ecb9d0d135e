using System.Diagnostics;
using Cloning.Instances;
using Vmm.Machines;

namespace Cloning;

/// <summary>A reboot as everybody does it, for comparison and for those who want it: the guest is down from the button to the prompt.</summary>
internal static class InPlaceReboot
{
    /// <summary>Runs it. Blocks; on a thread of its own.</summary>
    /// <exception cref="TimeoutException">The OS did not come up in time. It may still.</exception>
    /// <exception cref="InvalidOperationException">The OS has given up while it booted.</exception>
    /// <exception cref="Exception">The kernel cannot be loaded: nothing was done, the guest runs on.</exception>
    public static RebootReport Run(
        Instance instance, RebootRequest request, IProgress<RebootProgress> progress, CancellationToken cancellation)
    {
        Stopwatch clock = Stopwatch.StartNew();
        void Enter(RebootPhase phase, string? detail = null)
        {
            instance.Log.Phase(phase);
            progress.Report(new RebootProgress(phase, clock.ElapsedMilliseconds, detail));
        }

        Enter(RebootPhase.Prepare);
        Machine next = instance.BuildMachine();

        string? note;
        Enter(RebootPhase.ShutDown);
        try
        {
            note = instance.EndForReboot(request.Shutdown, request.ShutdownLimit, cancellation);
        }
        catch
        {
            next.Dispose();
            throw;
        }

        long shutdown = clock.ElapsedMilliseconds;

        Enter(RebootPhase.Reset, note);
        BootWatch watch = instance.BootAgain(next);
        Enter(RebootPhase.Boot);
        Task.WaitAny([watch.Ready, watch.Failed], (int)Remaining(request.Timeout, clock).TotalMilliseconds, cancellation);
        if (!watch.IsReady && watch.Failure is { } failure)
            throw new InvalidOperationException($"the rebooted OS {failure}; its console: {string.Join(" | ", watch.LastLines)}");
        if (!watch.IsReady)
            throw new TimeoutException($"The OS was not ready within {request.Timeout.TotalSeconds:0} s; it may still come up");
        Enter(RebootPhase.Ready);
        return new RebootReport(
            RebootMode.InPlace,
            RebootOutcome.Rebooted,
            Reason: note,
            CloneMicros: 0,
            QuiesceMicros: 0,
            SwitchMicros: 0,
            DowntimeMicros: (long)clock.Elapsed.TotalMicroseconds,
            ShutdownMillis: shutdown,
            BootMillis: clock.ElapsedMilliseconds - shutdown,
            TotalMillis: clock.ElapsedMilliseconds,
            DiscardedBytes: 0,
            MemoryMiB: instance.Config.MemoryMiB);
    }

    private static TimeSpan Remaining(TimeSpan limit, Stopwatch clock) =>
        limit > clock.Elapsed ? limit - clock.Elapsed : TimeSpan.Zero;
}
