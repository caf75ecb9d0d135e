using System.Diagnostics;
using Cloning.Instances;
using Cloning.Isolation;
using Cloning.Shadow;
using VirtioBlk.Turns;
using Xunit;

namespace Cloning.Tests;

/// <summary>A command on the host that tells when an OS is up, asked about real guests.</summary>
public sealed class ReadyCommandTests
{
    [Fact]
    public async Task It_is_asked_until_it_succeeds_and_sees_the_OS_that_boots()
    {
        using TestInstance guest = WithCommand("""
            exec >>{0}/seen; echo "$BGKVM_NAME $BGKVM_BOOT $BGKVM_ATTEMPT $BGKVM_CONSOLE $BGKVM_CONSOLE_LOG"
            test "$BGKVM_ATTEMPT" -ge 2 || exit 1
            tail -c +"$BGKVM_CONSOLE_START" "$BGKVM_CONSOLE_LOG" | grep -q 'login: '
            """);
        guest.Install('2');
        RebootReport report = await guest.RebootInBackground();

        Assert.Equal((RebootOutcome.Switched, (string?)null), (report.Outcome, report.Reason));
        guest.Ask('v', "<2>");
        string[] shadow = [.. File.ReadLines(Path.Combine(guest.Root, "seen")).Where(line => line.Contains(" shadow ", StringComparison.Ordinal))];
        Assert.True(shadow.Length >= 2);
        Assert.Equal(
            Enumerable.Range(1, shadow.Length).Select(n => $"tiny shadow {n} {guest.Files.ShadowConsoleSocket} {guest.Files.ShadowLog}"), shadow);
    }

    [Fact]
    public async Task The_log_begins_for_it_where_the_output_of_the_OS_that_boots_begins()
    {
        using TestInstance guest = WithCommand("""
            tail -c +"$BGKVM_CONSOLE_START" "$BGKVM_CONSOLE_LOG" >{0}/seen-$BGKVM_BOOT && grep -q login: {0}/seen-$BGKVM_BOOT
            """);
        guest.Install('2');
        Assert.Equal(RebootOutcome.Switched, (await guest.RebootInBackground()).Outcome);
        Assert.Equal("\r\nTinyOs 2\r\nlogin: ", File.ReadAllText(Path.Combine(guest.Root, "seen-shadow")));
        Assert.StartsWith("off\r\n\r\nTinyOs 2", File.ReadAllText(guest.Files.ShadowLog), StringComparison.Ordinal);

        guest.Install('3');
        Assert.Equal(RebootOutcome.Rebooted, (await guest.Reboot(RebootMode.InPlace)).Outcome);
        Assert.Equal("\r\nTinyOs 3\r\nlogin: ", File.ReadAllText(Path.Combine(guest.Root, "seen-instance")));
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
    public async Task One_that_hangs_is_ended_with_all_it_has_started_when_the_reboot_is()
    {
        using TestInstance guest = WithCommand("""
            test "$BGKVM_BOOT" = shadow || exit 0
            echo waiting; sleep 1000 & echo $! >{0}/child; wait
            """);
        string child = Fifo(Path.Combine(guest.Root, "child"));
        guest.Install('2');
        // Until its own OS counts as ready, that is asked about too, and writes the same log.
        Assert.True(SpinWait.SpinUntil(() => guest.Instance.Status().State == InstanceState.Running, TimeSpan.FromMinutes(2)));
        Task<RebootReport> reboot = guest.RebootInBackground();
        string pid = (await File.ReadAllTextAsync(child, TestContext.Current.CancellationToken)).Trim();
        await guest.Instance.StopAsync(force: true, TimeSpan.FromMinutes(2));

        Assert.Equal(RebootOutcome.Aborted, (await reboot).Outcome);
        Assert.Equal("waiting\n", await File.ReadAllTextAsync(guest.Files.ReadyLog, TestContext.Current.CancellationToken));
        Assert.True(SpinWait.SpinUntil(() => !IsAsleep(pid), TimeSpan.FromSeconds(30)));
    }

    [Fact]
    public async Task What_it_answers_is_remembered_and_it_is_asked_again()
    {
        using TestInstance guest = WithCommand("exit 0");
        InstanceConfig config = guest.Config with { ReadyCommand = $"echo $BGKVM_ATTEMPT >{Fifo(Path.Combine(guest.Root, "asked"))}; exit 7" };
        bool ready = false;
        using (ReadyCommand command = ReadyCommand.Of(config, guest.Files, inShadow: false, logStart: 0, () => ready = true)!)
        {
            for (int attempt = 1; attempt <= 3; attempt++)
            {
                Assert.Equal($"{attempt}\n", await File.ReadAllTextAsync(Path.Combine(guest.Root, "asked"), TestContext.Current.CancellationToken));
                if (attempt > 1) Assert.Equal("last failed with exit status 7", command.LastAnswer);
            }
        }

        Assert.False(ready);
        Assert.Null(ReadyCommand.Of(guest.Config with { ReadyCommand = null }, guest.Files, inShadow: false, logStart: 0, () => { }));
    }

    [Fact]
    public async Task It_inherits_nothing_of_a_shadow_that_is_started_at_the_same_moment()
    {
        using DiskActivity foreground = DiskActivity.Create();
        InstanceDirectory files = new(Directory.CreateTempSubdirectory("bgkvm-test-").FullName);
        InstanceConfig config = new("tiny", [], null, null, "", 16, 1, "") { ReadyCommand = "ls -l /proc/self/fd" };
        CancellationToken stop = TestContext.Current.CancellationToken;
        string[] before = SocketsOfOne(); // somebody else's, handed down to the tests
        using Barrier moment = new(2);
        const int Rounds = 30;
        Task shadows = Task.Run(
            () =>
            {
                for (int i = 0; i < Rounds; i++)
                {
                    moment.SignalAndWait(stop);
                    // This program says nothing and ends.
                    Assert.Throws<ShadowException>(() => ShadowHandle.Start(config, foreground, RebootPriority.Idle, "/bin/true", stop));
                }
            },
            stop);
        List<string> inherited = [];
        for (int i = 0; i < Rounds; i++)
        {
            moment.SignalAndWait(stop);
            inherited.AddRange(SocketsOfOne().Except(before));
        }

        await shadows;
        Directory.Delete(files.Path, recursive: true);
        Assert.Empty(inherited);

        string[] SocketsOfOne()
        {
            using ManualResetEventSlim ready = new();
            using (ReadyCommand.Of(config, files, inShadow: false, logStart: 0, ready.Set))
                Assert.True(ready.Wait(TimeSpan.FromMinutes(1), stop));
            return [.. File.ReadLines(files.ReadyLog).Where(line => line.Contains("socket:", StringComparison.Ordinal)).Select(line => line.Split("-> ")[1])];
        }
    }

    private static string Fifo(string path)
    {
        using Process made = Process.Start("mkfifo", path);
        made.WaitForExit();
        Assert.Equal(0, made.ExitCode);
        return path;
    }

    // A zombie has no command line any more.
    private static bool IsAsleep(string pid) =>
        Directory.Exists($"/proc/{pid}") && File.ReadAllText($"/proc/{pid}/cmdline").StartsWith("sleep", StringComparison.Ordinal);

    private static TestInstance WithCommand(string command) =>
        new('1', configure: config => config with
        {
            ReadyCommand = command.Replace("{0}", Path.GetDirectoryName(config.Kernel), StringComparison.Ordinal),
        });
}
