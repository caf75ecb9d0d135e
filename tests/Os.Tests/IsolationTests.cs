using System.Globalization;
using Os.Tests.Driver;
using Xunit;

namespace Os.Tests;

/// <summary>The shadow runs on what is left over, and the new OS on none of it.</summary>
public sealed class IsolationTests : Scenario
{
    [Fact]
    public void What_the_status_says_is_in_force_and_is_gone_from_the_new_system()
    {
        using Guest guest = Vm.Start();
        guest.LogIn();
        using Command reboot = Vm.BeginReboot();
        reboot.WaitForLine("old OS shuts down", Limits.Reboot);
        InstanceView during = Vm.Status();
        int shadow = Assert.NotNull(during.ShadowPid);
        IsolationView isolation = Assert.IsType<IsolationView>(during.Isolation);
        Say(string.Join('\n', isolation.Measures));
        Assert.Equal("idle", isolation.Priority);
        string[] applied = [.. isolation.Measures.Where(measure => measure.Applied).Select(measure => measure.Mechanism)];
        Assert.Contains("limiter", applied);
        Assert.Equal("1000", File.ReadAllText($"/proc/{shadow}/oom_score_adj").Trim());
        if (Environment.GetEnvironmentVariable("BGKVM_RIG") == "1")
        {
            // There the one hierarchy of version 2 hands everything down.
            Assert.Null(isolation.Partial);
            string group = Assert.Single(Processes.ShadowCgroupsOf(Instance.Name));
            Assert.Contains($"{shadow}\n", File.ReadAllText($"{group}/cgroup.procs"), StringComparison.Ordinal);
            Assert.Equal("1", File.ReadAllText($"{group}/cpu.idle").Trim());
            Assert.Equal($"{(128 + 128) << 20}", File.ReadAllText($"{group}/memory.high").Trim());
        }

        guest.LogIn(); // at the new system's prompt
        Assert.Equal(0, reboot.WaitForExit(Limits.Command).ExitCode);
        int instance = Assert.NotNull(Vm.Status().Pid);
        foreach (string task in Directory.EnumerateDirectories($"/proc/{instance}/task"))
        {
            string stat, cgroup;
            try
            {
                (stat, cgroup) = (File.ReadAllText($"{task}/stat"), File.ReadAllText($"{task}/cgroup"));
            }
            catch (IOException)
            {
                continue; // it ended meanwhile
            }

            string name = stat[(stat.IndexOf('(', StringComparison.Ordinal) + 1)..stat.LastIndexOf(')')];
            if (name == "upkeep") continue; // merges layers, on left-over time
            // proc_pid_stat(5): fields 19 and 41, counted from the one behind the name, which is the third.
            string[] fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
            Assert.True(int.Parse(fields[16], CultureInfo.InvariantCulture) <= 0 && fields[38] != "5", $"{name} is left on idle time");
            Assert.DoesNotContain("shadow", cgroup, StringComparison.Ordinal);
        }

        guest.Dispose();
        Vm.Stop();
    }
}
