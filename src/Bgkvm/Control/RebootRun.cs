using System.Threading.Channels;
using Cloning.Instances;

namespace Bgkvm.Control;

/// <summary>A reboot under way. It goes on whether or not anybody watches it.</summary>
internal sealed class RebootRun : IProgress<RebootProgress>
{
    private readonly Channel<RebootProgress> _steps = Channel.CreateUnbounded<RebootProgress>();

    private RebootRun(IInstance instance, RebootRequest request, ILogger log) => Report = DriveAsync(instance, request, log);

    /// <summary>The phases so far and to come; ends with the reboot.</summary>
    public ChannelReader<RebootProgress> Steps => _steps.Reader;

    /// <summary>How it ends.</summary>
    public Task<RebootReport> Report { get; }

    /// <summary>Begins one.</summary>
    public static RebootRun Start(IInstance instance, RebootRequest request, ILogger log) => new(instance, request, log);

    void IProgress<RebootProgress>.Report(RebootProgress value) => _steps.Writer.TryWrite(value);

    private async Task<RebootReport> DriveAsync(IInstance instance, RebootRequest request, ILogger log)
    {
        try
        {
            log.LogInformation("Reboot asked for: {Request}", request);
            RebootReport report = await instance.RebootAsync(request, this, CancellationToken.None);
            log.LogInformation("Reboot ended: {Report}", report);
            return report;
        }
        catch (Exception e) when (e is InstanceBusyException or InstanceException)
        {
            log.LogWarning("Reboot refused: {Reason}", e.Message);
            throw;
        }
        catch (Exception e)
        {
            log.LogError(e, "Reboot failed");
            throw;
        }
        finally
        {
            _steps.Writer.Complete();
        }
    }
}
