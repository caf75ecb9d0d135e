using System.CommandLine;
using System.Text.Json;
using Bgkvm.Control;
using Vmm.HostCheck;

namespace Bgkvm.Commands;

/// <summary><c>bgkvm doctor</c>: tells what this host can do, by trying it.</summary>
internal sealed class DoctorCommand : CliCommand
{
    private readonly Option<bool> _json = new("--json") { Description = "Print the report as one JSON object." };

    /// <summary>Creates it.</summary>
    public DoctorCommand() : base("doctor", "Tells whether this host can run virtual machines, by trying it.", """
        Exit code 0 when Linux can run here, else 4, with the way out.

        Example:
          bgkvm doctor
        """)
    {
        Add(_json);
        SetAction(parsed =>
        {
            HostReport report = HostProbe.Run();
            if (parsed.GetValue(_json)) Console.Out.WriteLine(JsonSerializer.Serialize(report, ControlJson.Default.HostReport));
            else Print(report);
            return report.Verdict.LinuxCanRun ? ExitCode.Done : ExitCode.HostLacks;
        });
    }

    private static void Print(HostReport report)
    {
        Table table = new("CHECK", "", "");
        foreach (HostCheckResult check in report.Checks)
        {
            table.Add(check.Name, check.Status.ToString().ToLowerInvariant(), check.Detail);
            if (check.Status != CheckStatus.Ok && check.Remedy is { } remedy) table.Add("", "", "-> " + remedy);
        }

        table.Write(Console.Out);
        Console.Out.WriteLine();
        Console.Out.WriteLine(report.Verdict.Reason);
        if (report.Verdict.WayOut is { } wayOut) Console.Out.WriteLine($"Way out: {wayOut}.");
    }
}
