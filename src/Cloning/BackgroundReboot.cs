using System.Diagnostics;
using Cloning.After;
using Cloning.Fork;
using Cloning.Instances;
using Cloning.Isolation;
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
    private long _cloneMicros, _quiesceMicros;
    private AtRest _atRest;
    private string? _note, _lastAnswer;

    /// <summary>Runs it. Blocks; on a thread of its own.</summary>
    /// <returns>Switched or Aborted; it does not throw for what goes wrong on the way.</returns>
    public RebootReport Run(CancellationToken cancellation)
    {
        using CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        limit.CancelAfter(Limit);
        try
        {
            Enter(RebootPhase.Prepare);
            using ForkPreparation prepared =
                ForkPreparation.Make(instance, request, OnShadow, limit.Token);
            using Timer? raising = StartRaising(prepared.Shadow);
            using IDisposable givenUp = prepared.Shadow.EndWhen(limit.Token);
            limit.Token.ThrowIfCancellationRequested();

            Enter(RebootPhase.Fork, prepared.Shadow.Isolation.Partial is { } missing ? $"isolation is partial: {missing}" : null);
            _cloneMicros = ForkPause.Run(instance, prepared).Micros;
            prepared.StartShadow(request);

            ShadowMessage.Ready ready = WaitReady(prepared.Shadow, limit.Token);
            Enter(RebootPhase.Ready);
            using SwitchPreparation next = SwitchPreparation.Make(instance, prepared, ready);
            AtRest means = Quiesce.Sync(instance, request.Quiesce, Limit - _clock.Elapsed, limit.Token);
            limit.Token.ThrowIfCancellationRequested();
            // From here on it is no longer given up: a remount cannot be undone from outside the guest.
            _atRest = means;
            _quiesceMicros = Quiesce.Rest(instance, request.Quiesce, ref _atRest);

            Enter(RebootPhase.Switch);
            SwitchResult switched = SwitchPause.Run(instance, prepared, next);

            Enter(RebootPhase.After);
            long discarded = Aftermath.Run(instance, switched, ready.LastLine);
            return Report(RebootOutcome.Switched, _note, switched.Pause.Micros, discarded) with
            {
                DiscardedPath = prepared.DiscardedPath,
            };
        }
        // What the host lacks is a refusal, not an abort: nothing had begun.
        catch (Exception e) when (e is not InstanceException { ExitCode: 4 })
        {
            // Giving up ends the shadow, which is then missed in some other way: what counts is why it was given up.
            string reason = cancellation.IsCancellationRequested ? instance.CancelReason ?? "cancelled"
                : limit.IsCancellationRequested ? TimedOut()
                : e.Message;
            if (Quiesce.Undo(instance, _atRest) is { } left) reason += $"; quiescing has left its file systems {left}";
            instance.Log.Aborted(reason, e);
            Reshare.AfterAbort(instance);
            return Report(RebootOutcome.Aborted, reason, 0, 0) with { LastLines = LastLines(e, limit.Token) };
        }
        finally
        {
            instance.Phase = null;
            instance.ShadowPid = null;
        }
    }

    /// <summary>Lets the shadow work, and asks the ready command as soon as the new OS boots.</summary>
    private ShadowMessage.Ready WaitReady(ShadowHandle shadow, CancellationToken givenUp)
    {
        ReadyCommand? command = null;
        try
        {
            return shadow.WaitReady(
                phase =>
                {
                    _note ??= phase.Note;
                    Enter(phase.Step, phase.Note);
                    if (phase.Step == RebootPhase.Boot)
                        command = ReadyCommand.Of(instance.Config, instance.Directory, inShadow: true, phase.LogBytes, shadow.CountAsReady);
                },
                givenUp);
        }
        finally
        {
            command?.Dispose();
            _lastAnswer = command?.LastAnswer;
        }
    }

    private TimeSpan Limit => request.OnMaxDuration == OverrunAction.Abort && request.MaxDuration < request.Timeout
        ? request.MaxDuration.Value
        : request.Timeout;

    /// <summary>
    /// Raises the shadow's priority by a step when it has taken too long, and by another half that time later. Nobody wants a
    /// reboot to fail for politeness.
    /// </summary>
    private Timer? StartRaising(ShadowHandle shadow)
    {
        if (request.OnMaxDuration == OverrunAction.Abort) return null;
        TimeSpan most = request.Patience, left = most - _clock.Elapsed;
        return new Timer(
            _ =>
            {
                shadow.Raise();
                instance.Isolation = shadow.Isolation;
            },
            null, left > TimeSpan.Zero ? left : TimeSpan.Zero, most / 2);
    }

    private void OnShadow(ShadowHandle shadow)
    {
        instance.ShadowPid = shadow.Pid;
        instance.Isolation = shadow.Isolation;
    }

    private string TimedOut()
    {
        if (!_entered.ContainsKey(RebootPhase.ShutDown)) return $"the shadow process did not begin within {Limit.TotalSeconds:0} s";
        string reason = $"the OS was not ready within {Limit.TotalSeconds:0} s";
        return _lastAnswer is null ? reason : $"{reason}: its ready command {_lastAnswer}";
    }

    /// <summary>What the new OS printed last, if it is the OS that failed.</summary>
    private IReadOnlyList<string>? LastLines(Exception failure, CancellationToken givenUp) =>
        failure is ShadowException { LastLines: { } lines } ? lines
        : givenUp.IsCancellationRequested && _entered.ContainsKey(RebootPhase.Boot) ? ConsoleTail.OfLog(instance.Directory.ShadowLog)
        : null;

    private void Enter(RebootPhase phase, string? detail = null)
    {
        _entered[phase] = _clock.Elapsed;
        instance.Phase = phase;
        progress.Report(new RebootProgress(phase, _clock.ElapsedMilliseconds, detail));
    }

    private RebootReport Report(RebootOutcome outcome, string? reason, long switching, long discarded)
    {
        return new RebootReport(
            RebootMode.Background,
            outcome,
            reason,
            CloneMicros: _cloneMicros,
            QuiesceMicros: _quiesceMicros,
            SwitchMicros: switching,
            DowntimeMicros: _cloneMicros + _quiesceMicros + switching,
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
