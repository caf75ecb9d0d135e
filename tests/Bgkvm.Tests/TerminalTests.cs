using System.Diagnostics;

namespace Bgkvm.Tests;

/// <summary>The console on a real terminal: script(1) makes one.</summary>
public sealed class TerminalTests
{
    [Fact]
    public async Task Ctrl_bracket_detaches_and_the_terminal_is_as_before()
    {
        await using Sandbox sandbox = new();
        await sandbox.Boot();
        using Process terminal = OnTerminal(sandbox, "stty -a | md5sum; \"$FAKE\" console demo; echo exit $?; stty -a | md5sum");
        string before = await Line(terminal);
        await Until(terminal, "login: ");
        await Type(terminal, "\u0003\u0004hi");
        await Until(terminal, "\u0003\u0004HI"); // raw: the terminal ate and echoed nothing
        await Type(terminal, "\u001dbe");
        await Until(terminal, "<BREAK>E");
        await Type(terminal, "\u001dx");
        string rest = await terminal.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        Assert.Contains("[detached; bgkvm console demo attaches again]", rest, StringComparison.Ordinal);
        Assert.Contains("exit 0", rest, StringComparison.Ordinal);
        Assert.EndsWith(before, rest.TrimEnd(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("TERM", 143), InlineData("HUP", 129), InlineData("INT", 130)]
    public async Task A_signal_restores_the_terminal(string signal, int exitCode)
    {
        await using Sandbox sandbox = new();
        await sandbox.Boot();
        using Process terminal = OnTerminal(
            sandbox, "stty -a | md5sum; sh -c 'echo pid $$; exec \"$FAKE\" console demo'; echo exit $?; stty -a | md5sum");
        string before = await Line(terminal);
        string pid = (await Line(terminal))["pid ".Length..];
        await Until(terminal, "login: ");
        using (Process kill = Process.Start("kill", ["-" + signal, pid])) await kill.WaitForExitAsync(TestContext.Current.CancellationToken);
        string rest = await terminal.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        Assert.Contains($"exit {exitCode}", rest, StringComparison.Ordinal);
        Assert.EndsWith(before, rest.TrimEnd(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_end_of_the_instance_restores_the_terminal()
    {
        await using Sandbox sandbox = new();
        await sandbox.Boot();
        using Process terminal = OnTerminal(sandbox, "stty -a | md5sum; \"$FAKE\" console demo; echo exit $?; stty -a | md5sum");
        string before = await Line(terminal);
        await Until(terminal, "login: ");
        Assert.Equal(0, (await sandbox.Fake("stop", "demo")).ExitCode);
        string rest = await terminal.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        Assert.Contains("Power down\r\n", rest, StringComparison.Ordinal);
        Assert.Contains("[demo has ended]", rest, StringComparison.Ordinal);
        Assert.EndsWith(before, rest.TrimEnd(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Reboot_on_a_terminal_shows_phases_and_the_figures()
    {
        await using Sandbox sandbox = new();
        await sandbox.Boot();
        using Process terminal = OnTerminal(sandbox, "\"$FAKE\" reboot demo --background; echo exit $?");
        string all = await terminal.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        Assert.Contains("forking", all, StringComparison.Ordinal);
        Assert.Contains("\u001b[", all, StringComparison.Ordinal); // live
        Assert.Contains("demo runs the rebooted system: down for 2.000 ms in 5.300 s", all, StringComparison.Ordinal);
        Assert.Contains("exit 0", all, StringComparison.Ordinal);
    }

    private static Process OnTerminal(Sandbox sandbox, string commands) => sandbox.Begin(
        "/usr/bin/env", $"FAKE={Environment.ProcessPath}", "TERM=xterm", "script", "-qec", commands, "/dev/null");

    private static async Task Type(Process terminal, string keys)
    {
        await terminal.StandardInput.WriteAsync(keys);
        await terminal.StandardInput.FlushAsync();
    }

    private static async Task<string> Line(Process terminal) =>
        (await terminal.StandardOutput.ReadLineAsync(TestContext.Current.CancellationToken))!.TrimEnd('\r');

    private static async Task Until(Process terminal, string text)
    {
        string seen = "";
        char[] one = new char[1];
        while (!seen.EndsWith(text, StringComparison.Ordinal))
        {
            Assert.Equal(1, await terminal.StandardOutput.ReadAsync(one, TestContext.Current.CancellationToken));
            seen += one[0];
        }
    }
}
