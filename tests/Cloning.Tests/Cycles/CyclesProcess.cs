using System.Text.Json;
using Cloning.Instances;

namespace Cloning.Tests.Cycles;

/// <summary>A process that does nothing but one background reboot after the other, and says after each what it holds.</summary>
internal static class CyclesProcess
{
    public const string Verb = "cycles";

    public static int Run(int cycles)
    {
        Environment.SetEnvironmentVariable(CyclesTests.TieredCompilation, null); // the shadows live too short for it
        // A name of its own: the host's cgroups are counted by it.
        using TestInstance guest = new('A', configure: config => config with { Name = $"cycles{Environment.ProcessId}" });
        for (int i = 1; i <= cycles; i++)
        {
            char version = (char)('A' + (i % 26));
            guest.Install(version);
            RebootReport report = guest.RebootInBackground().GetAwaiter().GetResult();
            if (report.Outcome != RebootOutcome.Switched) throw new InvalidOperationException($"cycle {i}: {report.Reason}");
            guest.Ask('v', $"<{version}>");
            if (!guest.Record((ulong)(10_000 + i))) throw new IOException($"cycle {i}: the disks fail");
            guest.Instance.Upkeep.Work.Wait();
            Console.Out.WriteLine(JsonSerializer.Serialize(Holdings.Now(i, guest, report)));
            Console.Out.Flush();
        }

        return 0;
    }
}
