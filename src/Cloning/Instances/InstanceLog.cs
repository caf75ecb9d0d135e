using Microsoft.Extensions.Logging;

namespace Cloning.Instances;

/// <summary>What an instance logs. Nothing is logged inside a pause.</summary>
internal sealed partial class InstanceLog(ILogger logger)
{
    [LoggerMessage(500, LogLevel.Information, "machine {Generation} runs")]
    public partial void Adopted(int generation);

    [LoggerMessage(501, LogLevel.Information, "the guest ended: {Detail}")]
    public partial void GuestEnded(string detail);

    [LoggerMessage(502, LogLevel.Warning, "background reboot aborted: {Reason}")]
    public partial void Aborted(string reason, Exception cause);

    [LoggerMessage(503, LogLevel.Warning, "memory stays on a private view until the next background reboot")]
    public partial void ReshareFailed(Exception cause);

    [LoggerMessage(504, LogLevel.Warning, "merging layers has stopped: {Problem}; it is tried again in {Seconds} s")]
    public partial void MergeFailed(string problem, double seconds);

    [LoggerMessage(507, LogLevel.Information, "the guest has asked for a background reboot")]
    public partial void GuestAsked();

    [LoggerMessage(508, LogLevel.Warning, "the guest could not be brought to rest by {Means}: {Reason}")]
    public partial void NotAtRest(string means, string reason);

    [LoggerMessage(509, LogLevel.Warning, "the OS {Failure}")]
    public partial void BootFailed(string failure);

    [LoggerMessage(506, LogLevel.Error, "the instance runs, but tidying up after a reboot met an error; the next one makes up for it")]
    private partial void TidyFailed(Exception cause);

    /// <summary>Takes a step of tidying up. When it fails, that is logged and harms nobody.</summary>
    /// <returns>Whether it worked.</returns>
    public bool Tidy(Action step)
    {
        try
        {
            step();
            return true;
        }
        catch (Exception e)
        {
            TidyFailed(e);
            return false;
        }
    }

    [LoggerMessage(505, LogLevel.Information, "reboot: {Phase}")]
    public partial void Phase(RebootPhase phase);
}
