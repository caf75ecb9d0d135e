using System.Globalization;
using Cloning.Instances;
using Spectre.Console;

namespace Bgkvm.Commands;

/// <summary>How a reboot looks to the person who asked for it: live phases on a terminal, plain lines in a pipe.</summary>
internal static class RebootView
{
    /// <summary>Shows one from beginning to end.</summary>
    /// <param name="name">The instance.</param>
    /// <param name="mode">What is being done.</param>
    /// <param name="reboot">Does it, calling back for every phase.</param>
    public static async Task<RebootReport> ShowAsync(
        string name, RebootMode mode, Func<Action<RebootProgress>, Task<RebootReport>> reboot)
    {
        RebootReport report = Console.IsOutputRedirected ? await reboot(PrintLine) : await ShowLiveAsync(reboot);
        foreach (string line in report.Outcome == RebootOutcome.Aborted ? LastLines(report) : Summary(name, mode, report))
            Console.Out.WriteLine(line);
        return report;
    }

    /// <summary>The words for a phase.</summary>
    internal static string Describe(RebootPhase phase) => phase switch
    {
        RebootPhase.Prepare => "preparing",
        RebootPhase.Fork => "forking",
        RebootPhase.ShutDown => "old OS shuts down",
        RebootPhase.Reset => "reset",
        RebootPhase.Boot => "new OS boots",
        RebootPhase.Ready => "new OS is ready",
        RebootPhase.Switch => "switching",
        _ => "cleaning up",
    };

    /// <summary>The report in words.</summary>
    internal static IEnumerable<string> Summary(string name, RebootMode mode, RebootReport report)
    {
        if (mode == RebootMode.InPlace)
        {
            yield return $"{name} rebooted in place: down for {Time(report.DowntimeMicros)}";
            if (report.Reason is not null) yield return $"  but           {report.Reason}";
            yield break;
        }

        yield return $"{name} runs the rebooted system: down for {Time(report.DowntimeMicros)} in {Time(report.TotalMillis * 1000)}";
        yield return $"  clone pause   {Time(report.CloneMicros),12}";
        yield return $"  quiesce       {Time(report.QuiesceMicros),12}";
        yield return $"  switch pause  {Time(report.SwitchMicros),12}";
        yield return $"  shutdown      {Time(report.ShutdownMillis * 1000),12}   in the background";
        yield return $"  boot          {Time(report.BootMillis * 1000),12}   in the background";
        yield return string.Create(CultureInfo.InvariantCulture,
            $"  discarded     {report.DiscardedBytes / 1024.0,8:N1} KiB   written to system disks since the fork");
        if (report.DiscardedPath is not null) yield return $"  kept in       {report.DiscardedPath}";
        if (report.Reason is not null) yield return $"  but           {report.Reason}";
    }

    /// <summary>What the OS that failed had to say.</summary>
    internal static IEnumerable<string> LastLines(RebootReport report) =>
        report.LastLines is { Count: > 0 } lines ? lines.Select(line => $"  | {line}").Prepend("the new OS's console showed last:") : [];

    private static string Time(long micros) => micros switch
    {
        < 1000 => string.Create(CultureInfo.InvariantCulture, $"{micros} µs"),
        < 1_000_000 => string.Create(CultureInfo.InvariantCulture, $"{micros / 1e3:0.000} ms"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{micros / 1e6:0.000} s"),
    };

    private static void PrintLine(RebootProgress step) => Console.Out.WriteLine(string.Create(CultureInfo.InvariantCulture,
        $"{step.ElapsedMillis / 1e3,9:0.000} s  {Describe(step.Phase)}{(step.Detail is null ? "" : ": " + step.Detail)}"));

    private static Task<RebootReport> ShowLiveAsync(Func<Action<RebootProgress>, Task<RebootReport>> reboot) =>
        AnsiConsole.Progress()
            .Columns(new SpinnerColumn(), new TaskDescriptionColumn { Alignment = Justify.Left }, new ProgressBarColumn(), new ElapsedTimeColumn())
            .StartAsync(async live =>
            {
                ProgressTask? current = null;
                RebootReport report = await reboot(step =>
                {
                    Finish(current);
                    string detail = step.Detail is null ? "" : $" [grey]{Markup.Escape(step.Detail)}[/]";
                    current = live.AddTask(Describe(step.Phase) + detail);
                    current.IsIndeterminate = true;
                });
                if (report.Outcome == RebootOutcome.Aborted) current?.StopTask();
                else Finish(current);
                return report;
            });

    private static void Finish(ProgressTask? task)
    {
        if (task is null) return;
        task.IsIndeterminate = false;
        task.Value = task.MaxValue;
        task.StopTask();
    }
}
