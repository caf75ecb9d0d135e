using System.Globalization;
using System.Text.RegularExpressions;
using Os.Tests.Driver;
using Xunit;

namespace Os.Tests;

/// <summary>Coming to the console and leaving it.</summary>
public sealed class ConsoleTests : Scenario
{
    [Fact]
    public void Who_detaches_misses_nothing_when_coming_back_soon_and_the_guest_does_not_notice()
    {
        Vm.Start().Dispose();
        int seen;
        using (ConsoleProcess first = Vm.AttachByCommand())
        {
            first.Guest.LogIn();
            first.Guest.Run("(i=0; while :; do echo count-$((i=i+1)); usleep 100000; done) & true");
            seen = Number(first.Guest.WaitFor("count-([0-9]+)\r", Limits.Answer));
            first.Guest.Send("\x1d");
            Assert.Equal(0, first.WaitForExit());
        }

        using ConsoleProcess second = Vm.AttachByCommand();
        // What was printed before, while nobody was there, and since, each line once.
        Match lines = second.Guest.WaitFor($"count-{seen}\r\n[\\s\\S]*count-{seen + 30}\r\n", Limits.Answer);
        Assert.Equal(
            Enumerable.Range(seen, 31), Regex.Matches(lines.Value, "count-([0-9]+)\r").Select(Number));
        using (Guest beside = Vm.Attach())
        {
            Assert.EndsWith("both", second.Guest.Run("kill $!; echo both"), StringComparison.Ordinal);
            beside.WaitFor("both\r\n", Limits.Answer);

            // The end of what is typed detaches as well; all of it has reached the guest.
            second.Guest.Send("echo last-$((40 + 2))\n");
            second.EndInput();
            Assert.Equal(0, second.WaitForExit());
            beside.WaitFor("last-42", Limits.Answer);
        }

        using ConsoleProcess third = Vm.AttachByCommand();
        Assert.Equal("there", third.Guest.Run("echo there"));
        Vm.Do("stop", Instance.Name, "--force");
        third.Guest.WaitForEnd(Limits.Answer);
        Assert.Equal(0, third.WaitForExit());
    }

    [Fact]
    public void A_guest_that_prints_is_not_interrupted_for_each_byte()
    {
        using Guest guest = Vm.Start();
        guest.LogIn();
        int pid = Vm.Status().Pid!.Value;
        // A host with one processor for everything, as the rig is.
        Assert.Equal(0, Command.Run("taskset", "-a", "-p", "1", pid.ToString(CultureInfo.InvariantCulture)).ExitCode);
        long before = Processes.SwitchesOf(pid);
        int printed = guest.Run("seq 1000").Length;
        long switches = Processes.SwitchesOf(pid) - before;
        Say($"{switches} context switches for {printed} bytes");
        Assert.InRange(switches, 1, 4 * printed); // it was 51 for each byte when workers spun and each was handed on by itself
    }

    private static int Number(Match match) => int.Parse(match.Groups[1].ValueSpan, CultureInfo.InvariantCulture);
}
