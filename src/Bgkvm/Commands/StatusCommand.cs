using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Bgkvm.Control;
using Bgkvm.Hosting;
using Cloning.Instances;

namespace Bgkvm.Commands;

/// <summary><c>bgkvm status</c>: looks at one instance, or at all.</summary>
internal sealed class StatusCommand : CliCommand
{
    private readonly NameArgument _name = new() { Arity = ArgumentArity.ZeroOrOne };
    private readonly Option<bool> _json = new("--json") { Description = "One JSON object for NAME, an array without." };

    /// <summary>Creates it.</summary>
    public StatusCommand() : base("status", "Shows what an instance is doing, or all of them.", """
        Example:
          bgkvm status demo --json
        """)
    {
        Add(_name);
        Add(_json);
        SetAction((parsed, _) => Execute(parsed));
    }

    private async Task<int> Execute(ParseResult parsed)
    {
        string? name = parsed.GetValue(_name);
        IReadOnlyList<string> names = name is null ? Instances.Names() : [Instances.Find(name).Name];
        InstanceStatus[] all = await Task.WhenAll(names.Select(LookAsync));
        if (!parsed.GetValue(_json)) Print(all);
        else if (name is null) Console.Out.WriteLine(JsonSerializer.Serialize(all, ControlJson.Default.IReadOnlyListInstanceStatus));
        else Console.Out.WriteLine(JsonSerializer.Serialize(all[0], ControlJson.Default.InstanceStatus));
        return ExitCode.Done;
    }

    private static async Task<InstanceStatus> LookAsync(string name)
    {
        InstanceDirectory directory = InstanceDirectory.Of(name);
        if (!InstanceLock.IsHeld(directory)) return Unreachable(directory, InstanceState.Stopped);
        try
        {
            using ControlClient client = new(directory);
            return await client.StatusAsync();
        }
        catch (InstanceException)
        {
            return Unreachable(
                directory, InstanceLock.IsHeld(directory) ? InstanceState.Booting : InstanceState.Stopped);
        }
    }

    /// <summary>What can be said of an instance that does not answer.</summary>
    private static InstanceStatus Unreachable(InstanceDirectory directory, InstanceState state)
    {
        InstanceConfig config = ConfigFile.Read(directory);
        return new(directory.Name, state, null, null, 0, config.MemoryMiB, config.Cpus, null, null, 0, null);
    }

    private static void Print(InstanceStatus[] all)
    {
        if (all.Length == 0) return;
        Table table = new("NAME", "STATE", "PID", "UP", "GENERATION", "MEMORY", "CPUS", "LAST REBOOT");
        foreach (InstanceStatus one in all)
        {
            table.Add(
                one.Name,
                State(one),
                one.Pid?.ToString(CultureInfo.InvariantCulture) ?? "-",
                one.StartedAt is { } start ? Duration(DateTimeOffset.UtcNow - start) : "-",
                one.Generation.ToString(CultureInfo.InvariantCulture),
                MemorySize.Format(one.MemoryMiB),
                one.Cpus.ToString(CultureInfo.InvariantCulture),
                LastReboot(one.LastReboot));
        }

        table.Write(Console.Out);
    }

    private static string State(InstanceStatus one)
    {
        string state = JsonNamingPolicy.CamelCase.ConvertName(one.State.ToString());
        return one.BackgroundPhase is { } phase ? $"{state} ({RebootView.Describe(phase)})" : state;
    }

    private static string LastReboot(RebootReport? report) => report is null ? "-"
        : string.Create(CultureInfo.InvariantCulture,
            $"{JsonNamingPolicy.CamelCase.ConvertName(report.Outcome.ToString())}, down {report.DowntimeMicros / 1e3:0.0} ms");

    private static string Duration(TimeSpan time) => time.TotalDays >= 1
        ? $"{(int)time.TotalDays}d{time.Hours}h"
        : time.TotalHours >= 1 ? $"{(int)time.TotalHours}h{time.Minutes}m"
        : time.TotalMinutes >= 1 ? $"{(int)time.TotalMinutes}m{time.Seconds}s"
        : $"{(int)time.TotalSeconds}s";
}
