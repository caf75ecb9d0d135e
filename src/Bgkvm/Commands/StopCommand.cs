using System.CommandLine;
using Bgkvm.Control;
using Bgkvm.Hosting;
using Cloning.Instances;

namespace Bgkvm.Commands;

/// <summary><c>bgkvm stop</c>: presses the power button, or pulls the plug.</summary>
internal sealed class StopCommand : CliCommand
{
    private static readonly TimeSpan s_processEnd = TimeSpan.FromSeconds(30);

    private readonly NameArgument _name = new();
    private readonly Option<bool> _force = new("--force") { Description = "Stop the machine at once, as if by pulling the plug." };

    private readonly NumberOption _timeout = new("--timeout", 1, ControlRoutes.MaximumTimeoutSeconds)
    {
        Description = "How long to wait for the guest to power off.",
        HelpName = "SECONDS",
        DefaultValueFactory = _ => StopBody.DefaultTimeoutSeconds,
    };

    /// <summary>Creates it.</summary>
    public StopCommand() : base("stop", "Presses an instance's power button and waits until the guest is off.", """
        A background reboot under way is given up first.

        Example:
          bgkvm stop demo
        """)
    {
        Add(_name);
        Add(_force);
        Add(_timeout);
        SetAction((parsed, _) => Execute(parsed));
    }

    private async Task<int> Execute(ParseResult parsed)
    {
        InstanceDirectory directory = Instances.FindRunning(parsed.GetRequiredValue(_name));
        int seconds = parsed.GetValue(_timeout);
        using ControlClient client = new(directory);
        StopResult result = await client.StopAsync(new StopBody(parsed.GetValue(_force), seconds));
        if (!result.Stopped)
        {
            throw new InstanceException(
                $"the guest in {directory.Name} did not power off within {seconds} s and still runs; bgkvm stop --force stops it");
        }

        // Only now can the name be started again.
        if (InstanceLock.WaitReleased(directory, s_processEnd)) return ExitCode.Done;
        throw new InstanceException($"the guest in {directory.Name} is off, but its process does not end");
    }
}
