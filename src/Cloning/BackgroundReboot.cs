using System.Diagnostics;
using Cloning.After;
using Cloning.Fork;
using Cloning.Instances;
using Cloning.Shadow;
using Cloning.Switch;

namespace Cloning;

/// <summary>
/// One background reboot, from the request to the report. Reads top to bottom: prepare, fork, (in the shadow: shut down,
/// reset, boot), ready, switch, after. Whatever fails before the manifest is committed leaves the instance running as it was.
/// </summary>
internal sealed class BackgroundReboot(Instance instance, RebootRequest request, IProgress<RebootProgress> progress)
{
    private readonly Stopwatch _clock = Stopwatch.StartNew();
    private readonly Dictionary<RebootPhase, TimeSpan> _entered = [];
    private long _cloneMicros;

    /// <summary>Runs it. Blocks; on a thread of its own.</summary>
    /// <returns>Switched or Aborted; it does not throw for what goes wrong on the way.</returns>
    public RebootReport Run(CancellationToken cancellation)
    {
        using CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        limit.CancelAfter(request.Timeout);
        try
        {
            Enter(RebootPhase.Prepare);
            using ForkPreparation prepared = ForkPreparation.Make(instance, request, shadow => instance.ShadowPid = shadow);
            limit.Token.ThrowIfCancellationRequested();

            Enter(RebootPhase.Fork);
            _cloneMicros = ForkPause.Run(instance, prepared).Micros;
            prepared.StartShadow(request);

            ShadowMessage.Ready ready = prepared.Shadow.WaitReady(Enter, limit.Token);
            Enter(RebootPhase.Ready);
            using SwitchPreparation next = SwitchPreparation.Make(instance, prepared, ready);
            limit.Token.ThrowIfCancellationRequested();
            // From here on it is no longer given up: a quiesced guest cannot be told to make its file systems writable again.
            long quiesceMicros = Quiesce.Run(instance, request.Quiesce);

            Enter(RebootPhase.Switch);
            SwitchResult switched = SwitchPause.Run(instance, prepared, next);

            Enter(RebootPhase.After);
            long discarded = Aftermath.Run(instance, switched, ready.LastLine);
            return Report(RebootOutcome.Switched, null, quiesceMicros, switched.Pause.Micros, discarded) with
            {
                DiscardedPath = prepared.DiscardedPath,
            };
        }
        // What the host lacks is a refusal, not an abort: nothing had begun.
        catch (Exception e) when (e is not InstanceException { ExitCode: 4 })
        {
            string reason = e switch
            {
                OperationCanceledException when cancellation.IsCancellationRequested => instance.CancelReason ?? "cancelled",
                OperationCanceledException => $"the OS was not ready within {request.Timeout.TotalSeconds:0} s; its last words: "
                    + LastWords.OfLog(instance.Directory.ShadowLog),
                _ => e.Message,
            };
            instance.Log.Aborted(reason, e);
            Reshare.AfterAbort(instance);
            return Report(RebootOutcome.Aborted, reason, 0, 0, 0);
        }
        finally
        {
            instance.Phase = null;
            instance.ShadowPid = null;
        }
    }

    private void Enter(RebootPhase phase)
    {
        _entered[phase] = _clock.Elapsed;
        instance.Phase = phase;
        progress.Report(new RebootProgress(phase, _clock.ElapsedMilliseconds, null));
    }

    private RebootReport Report(RebootOutcome outcome, string? reason, long quiesce, long switching, long discarded)
    {
        return new RebootReport(
            RebootMode.Background,
            outcome,
            reason,
            CloneMicros: _cloneMicros,
            QuiesceMicros: quiesce,
            SwitchMicros: switching,
            DowntimeMicros: _cloneMicros + quiesce + switching,
            ShutdownMillis: Between(RebootPhase.ShutDown, RebootPhase.Reset),
            BootMillis: Between(RebootPhase.Reset, RebootPhase.Ready),
            TotalMillis: _clock.ElapsedMilliseconds,
            DiscardedBytes: discarded,
            MemoryMiB: instance.Config.MemoryMiB);
    }

    private long Between(RebootPhase from, RebootPhase to) =>
        _entered.TryGetValue(from, out TimeSpan start) && _entered.TryGetValue(to, out TimeSpan end)
            ? (long)(end - start).TotalMilliseconds
            : 0;
}
