using System.Diagnostics;

namespace Cloning.Instances;

/// <summary>
/// What a guest asks of its host: a background reboot. A guest may reboot itself whenever it likes, but this costs the host a second
/// guest's memory for a while; so one at a time, and a pause of <see cref="PauseBetween"/> after each.
/// </summary>
internal sealed class GuestRequests(Instance instance)
{
    /// <summary>How long a guest's next request is refused after the end of its last reboot.</summary>
    public static readonly TimeSpan PauseBetween = TimeSpan.FromSeconds(30);

    private const int MaxUnderWay = 4; // more get no answer
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(300);
    private static readonly IProgress<RebootProgress> s_nobody = new Nobody();

    private long _endedAt = long.MinValue;
    private int _underWay, _rebooting;

    /// <summary>Takes the request. Called on a vCPU's thread: does nothing but pass it on.</summary>
    public void AskReboot()
    {
        if (Interlocked.Increment(ref _underWay) > MaxUnderWay) Interlocked.Decrement(ref _underWay);
        else _ = Task.Run(RebootAsync);
    }

    private async Task RebootAsync()
    {
        GuestChannel channel = instance.ConsoleHub.Channel;
        // Until its end has been noted: a guest that is faster than that would find neither a reboot nor the pause after it.
        if (Interlocked.Exchange(ref _rebooting, 1) != 0)
        {
            channel.Tell("reboot refused: one is under way");
            Interlocked.Decrement(ref _underWay);
            return;
        }

        try
        {
            if (_endedAt != long.MinValue && Stopwatch.GetElapsedTime(_endedAt) < PauseBetween)
            {
                channel.Tell($"reboot refused: ask again in {PauseBetween.TotalSeconds:0} s");
                return;
            }

            RebootRequest request = new(RebootMode.Background, ShutdownMode.Clean, QuiesceMode.Auto, s_timeout);
            Task<RebootReport> reboot = instance.RebootAsync(request, s_nobody, CancellationToken.None);
            if (!reboot.IsFaulted)
            {
                instance.Log.GuestAsked();
                channel.Tell("reboot accepted");
            }

            RebootReport report = await reboot.ConfigureAwait(false);
            _endedAt = Stopwatch.GetTimestamp();
            if (report.Outcome == RebootOutcome.Aborted) channel.Tell($"reboot aborted: {report.Reason}");
        }
        catch (InstanceBusyException e)
        {
            channel.Tell($"reboot refused: {e.Message}");
        }
        catch (InstanceException e)
        {
            channel.Tell($"reboot aborted: {e.Message}");
        }
        finally
        {
            Volatile.Write(ref _rebooting, 0);
            Interlocked.Decrement(ref _underWay);
        }
    }

    private sealed class Nobody : IProgress<RebootProgress>
    {
        public void Report(RebootProgress value) { }
    }
}
