using System.CommandLine;
using System.Globalization;
using Bgkvm.Control;
using Cloning.Isolation;

namespace Bgkvm.Commands;

/// <summary><c>--max-duration SECONDS[,raise|abort]</c>.</summary>
internal sealed class MaxDurationOption : Option<(int Seconds, OverrunAction Then)?>
{
    /// <summary>Creates it.</summary>
    public MaxDurationOption() : base("--max-duration")
    {
        Description = "When to raise the shadow's priority step by step, or, with ,abort, to give up (default a minute, or half of --timeout if that is shorter; background only).";
        HelpName = "SECONDS[,raise|abort]";
        CustomParser = result =>
        {
            string text = result.Tokens[0].Value;
            string[] parts = text.Split(',');
            OverrunAction? then = parts.Length == 1 ? OverrunAction.Raise : parts[1] switch
            {
                "raise" => OverrunAction.Raise,
                "abort" => OverrunAction.Abort,
                _ => null,
            };
            if (parts.Length <= 2 && then is not null
                && int.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out int seconds)
                && seconds is >= 1 and <= ControlRoutes.MaximumTimeoutSeconds)
            {
                return (seconds, then.Value);
            }

            result.AddError($"--max-duration: '{text}' is not 1 to {ControlRoutes.MaximumTimeoutSeconds} seconds, with ,raise or ,abort behind them or nothing");
            return null;
        };
    }
}
