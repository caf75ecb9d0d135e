using Cloning.Instances;
using Xunit;

namespace Cloning.Tests;

/// <summary>A command on the host that tells when an OS is up, asked about real guests.</summary>
public sealed class ReadyCommandTests
{
    // Any guest of this class would be ready at its prompt: only the command keeps the reboot waiting.
    private const string Never = "exit 7";

    [Fact]
    public async Task It_is_asked_until_it_succeeds_and_sees_the_OS_that_boots()
    {
        using TestInstance guest = WithCommand("""
            exec >>{0}/seen; echo "$BGKVM_NAME $BGKVM_BOOT $BGKVM_ATTEMPT $BGKVM_CONSOLE $BGKVM_CONSOLE_LOG"
            test "$BGKVM_ATTEMPT" -ge 2 && grep -q 'login: ' "$BGKVM_CONSOLE_LOG"
            """);
        guest.Install('2');
        RebootReport report = await guest.RebootInBackground();

        Assert.Equal((RebootOutcome.Switched, (string?)null), (report.Outcome, report.Reason));
        guest.Ask('v', "<2>");
        string[] shadow = [.. File.ReadLines(Path.Combine(guest.Root, "seen")).Where(line => line.Contains(" shadow ", StringComparison.Ordinal))];
        Assert.Equal($"tiny shadow 1 {guest.Files.ShadowConsoleSocket} {guest.Files.ShadowLog}", shadow[0]);
        Assert.Equal($"tiny shadow 2 {guest.Files.ShadowConsoleSocket} {guest.Files.ShadowLog}", shadow[^1]);
    }

    [Fact]
    public async Task It_can_talk_to_the_OS_that_boots_over_the_console_socket()
    {
        // v is TinyOs's question for its version; the socket ends when curl's time is up.
        using TestInstance guest = WithCommand("""
            test "$BGKVM_BOOT" = shadow || exit 0
            printf v | curl -s -m 2 --unix-socket "$BGKVM_CONSOLE" telnet://console | tee {0}/answer | grep -q '<2>'
            """);
        guest.Install('2');
        RebootReport report = await guest.RebootInBackground();

        Assert.Equal((RebootOutcome.Switched, (string?)null), (report.Outcome, report.Reason));
        Assert.Contains("<2>", await File.ReadAllTextAsync(Path.Combine(guest.Root, "answer"), TestContext.Current.CancellationToken), StringComparison.Ordinal);
        Assert.False(File.Exists(guest.Files.ShadowConsoleSocket));
        guest.Ask('v', "<2>");
    }

    [Fact]
    public async Task One_that_never_succeeds_ends_with_the_time_out_and_with_its_exit_status()
    {
        using TestInstance guest = WithCommand(Never);
        guest.Install('2');
        RebootReport report = await guest.RebootInBackground(TimeSpan.FromSeconds(8));

        Assert.Equal(
            (RebootOutcome.Aborted, "the OS was not ready within 8 s: its ready command last failed with exit status 7"),
            (report.Outcome, report.Reason));
        Assert.Contains("login:", Assert.NotNull(report.LastLines));
        Assert.Equal(InstanceState.Booting, guest.Instance.Status().State);
    }

    [Fact]
    public async Task One_that_hangs_is_ended_with_all_it_has_started_when_the_reboot_is()
    {
        using TestInstance guest = WithCommand("""
            test "$BGKVM_BOOT" = shadow || exit 1
            sleep 1000 & echo $! >{0}/child; echo waiting; wait
            """);
        guest.Install('2');
        RebootReport report = await guest.RebootInBackground(TimeSpan.FromSeconds(8));

        Assert.Equal((RebootOutcome.Aborted, "the OS was not ready within 8 s"), (report.Outcome, report.Reason));
        Assert.Equal("waiting\n", await File.ReadAllTextAsync(guest.Files.ReadyLog, TestContext.Current.CancellationToken));
        string child = (await File.ReadAllTextAsync(Path.Combine(guest.Root, "child"), TestContext.Current.CancellationToken)).Trim();
        Assert.False(File.Exists($"/proc/{child}/cmdline") && File.ReadAllText($"/proc/{child}/cmdline").StartsWith("sleep", StringComparison.Ordinal));
    }

    private static TestInstance WithCommand(string command) =>
        new('1', configure: config => config with
        {
            ReadyCommand = command.Replace("{0}", Path.GetDirectoryName(config.Kernel), StringComparison.Ordinal),
        });
}
