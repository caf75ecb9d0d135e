using System.CommandLine;
using System.Text.Json;
using Bgkvm.Control;
using Bgkvm.Hosting;
using Cloning.Instances;
using Cloning.Isolation;

namespace Bgkvm.Commands;

/// <summary><c>bgkvm reboot</c>: the main job.</summary>
internal sealed class RebootCommand : CliCommand
{
    private readonly NameArgument _name = new();

    private readonly Option<bool> _background = new("--background")
    {
        Description = "Reboot a fork of the instance while it runs on, then move the instance onto the rebooted state.",
    };

    private readonly ChoiceOption<ShutdownMode> _shutdown = new("--shutdown")
    {
        Description = "How the old OS ends: clean presses the power button, reset does not wait (default clean).",
    };

    private readonly ChoiceOption<QuiesceMode> _quiesce = new("--quiesce")
    {
        Description = "How file systems are brought to rest before the switch (default auto; background only).",
    };

    private readonly NumberOption _timeout = new("--timeout", 1, ControlRoutes.MaximumTimeoutSeconds)
    {
        Description = "From the request until the OS must be ready.",
        HelpName = "SECONDS",
        DefaultValueFactory = _ => RebootBody.DefaultTimeoutSeconds,
    };

    private readonly NumberOption _shutdownTimeout = new("--shutdown-timeout", 1, ControlRoutes.MaximumTimeoutSeconds)
    {
        Description = "How long the old OS may take to shut down before it is reset (default half of --timeout).",
        HelpName = "SECONDS",
    };

    private readonly Option<string> _keep = new("--keep-discarded")
    {
        Description = "Keep what the switch discards, in a new directory in DIR (default: the instance's own; background only).",
        HelpName = "DIR",
        Arity = ArgumentArity.ZeroOrOne,
    };

    private readonly ChoiceOption<RebootPriority> _priority = new("--priority")
    {
        Description = "What the shadow may have of the host: only what is left over, a small share, or an ordinary one (default idle; background only).",
    };

    private readonly MaxDurationOption _maxDuration = new();

    private readonly Option<bool> _json = new("--json") { Description = "Print the report as one JSON object, and nothing else." };

    /// <summary>Creates it.</summary>
    public RebootCommand() : base("reboot", "Reboots an instance's operating system, in place or in the background.", """
        A background reboot boots a fork of the instance while it runs on, and then moves the instance onto the rebooted
        state. It goes on when this command is interrupted. When it fails the instance runs on, unharmed (exit code 5).

        Example:
          bgkvm reboot demo --background
        """)
    {
        Add(_name);
        Option[] options = [_background, _shutdown, _quiesce, _timeout, _shutdownTimeout, _priority, _maxDuration, _keep, _json];
        foreach (Option option in options) Add(option);
        Validators.Add(result =>
        {
            foreach (Option option in new Option[] { _quiesce, _priority, _maxDuration, _keep })
                if (result.GetResult(option) is not null && !result.GetValue(_background)) result.AddError($"{option.Name} is for --background only");
            if (result.GetResult(_shutdownTimeout) is not null && result.GetValue(_shutdown) == ShutdownMode.Reset)
                result.AddError("--shutdown-timeout is for --shutdown clean");
        });
        SetAction((parsed, _) => Execute(parsed));
    }

    private async Task<int> Execute(ParseResult parsed)
    {
        InstanceDirectory directory = Instances.FindRunning(parsed.GetRequiredValue(_name));
        RebootBody body = new(
            parsed.GetValue(_background) ? RebootMode.Background : RebootMode.InPlace,
            parsed.GetValue(_shutdown),
            parsed.GetValue(_quiesce),
            parsed.GetValue(_timeout),
            parsed.GetResult(_keep) is null ? null : parsed.GetValue(_keep) is { Length: > 0 } keep ? Path.GetFullPath(keep) : "",
            parsed.GetValue(_priority),
            parsed.GetValue(_maxDuration)?.Seconds,
            parsed.GetValue(_maxDuration)?.Then ?? OverrunAction.Raise,
            parsed.GetResult(_shutdownTimeout) is null ? null : parsed.GetValue(_shutdownTimeout));
        using ControlClient client = new(directory);
        RebootReport report;
        if (parsed.GetValue(_json))
        {
            report = await client.RebootAsync(body, static _ => { });
            Console.Out.WriteLine(JsonSerializer.Serialize(report, ControlJson.Default.RebootReport));
        }
        else
        {
            report = await RebootView.ShowAsync(directory.Name, body.Mode, progress => client.RebootAsync(body, progress));
        }

        if (report.Outcome != RebootOutcome.Aborted) return ExitCode.Done;
        Cli.Complain($"background reboot of {directory.Name} aborted, it runs on unharmed: {report.Reason ?? "no reason given"}");
        return ExitCode.Aborted;
    }
}
