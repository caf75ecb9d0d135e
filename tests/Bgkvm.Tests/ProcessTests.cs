using System.Diagnostics;
using System.Net.Sockets;
using System.Text;
using System.Text.Json.Nodes;
using Bgkvm.Hosting;
using Cloning.Instances;

namespace Bgkvm.Tests;

/// <summary>Whole lives of instances, as processes: only the machine in them is a fake.</summary>
public sealed class ProcessTests
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(30);

    [Fact]
    public async Task An_instance_lives_and_dies()
    {
        await using Sandbox sandbox = new();
        Outcome start = await sandbox.Fake("start", "demo", "--disk", sandbox.Disk, "--kernel", sandbox.Kernel, "--memory", "64M", "--detach");
        Assert.Equal((0, ""), (start.ExitCode, start.Error));
        Assert.Matches(@"\Ademo started, process \d+\n\z", start.Output);

        JsonNode status = await sandbox.Status();
        Assert.Equal(("running", 64), ((string?)status["state"], (int)status["memoryMiB"]!));
        Assert.Equal($"demo started, process {status["pid"]}\n", start.Output);
        Assert.Matches(@"NAME +STATE +PID.*\ndemo +running +\d+", (await sandbox.Fake("status")).Output);

        Assert.Equal(new Outcome(0, "", ""), await sandbox.Fake("stop", "demo"));
        status = await sandbox.Status();
        Assert.Equal(("stopped", null), ((string?)status["state"], (int?)status["pid"]));

        Assert.Equal(0, (await sandbox.Fake("start", "demo", "--detach")).ExitCode);
        Assert.Equal(64, (int)(await sandbox.Status())["memoryMiB"]!);
        Assert.Equal("demo is running; stop it first: bgkvm stop demo", (await sandbox.Fake("delete", "demo")).ErrorLine);
        Assert.Equal(0, (await sandbox.Fake("stop", "demo")).ExitCode);
        Assert.Equal(new Outcome(0, "", ""), await sandbox.Fake("delete", "demo"));
        Assert.False(Directory.Exists(Path.Combine(sandbox.Home, "demo")));
        Assert.True(File.Exists(sandbox.Disk));
    }

    [Fact]
    public async Task Its_process_is_on_its_own_and_its_files_are_private()
    {
        await using Sandbox sandbox = new();
        await sandbox.Boot();
        int pid = await sandbox.Pid();
        string[] stat = (await File.ReadAllTextAsync($"/proc/{pid}/stat", TestContext.Current.CancellationToken)).Split(") ")[1].Split(' ');
        Assert.Equal(pid.ToString(provider: null), stat[3]); // session
        Assert.Equal("0", stat[4]); // no terminal
        Assert.Equal("/", new FileInfo($"/proc/{pid}/cwd").LinkTarget);
        Assert.Equal("/dev/null", new FileInfo($"/proc/{pid}/fd/0").LinkTarget);
        Assert.Equal(sandbox.InstancePath("bgkvm.log"), new FileInfo($"/proc/{pid}/fd/1").LinkTarget);
        Assert.Equal(sandbox.InstancePath("bgkvm.log"), new FileInfo($"/proc/{pid}/fd/2").LinkTarget);

        Assert.Equal((UnixFileMode)0x1c0, File.GetUnixFileMode(Path.Combine(sandbox.Home, "demo")));
        foreach (string file in (string[])["config.json", "lock", "control.sock", "console.sock", "bgkvm.log"])
            Assert.Equal((UnixFileMode)0, File.GetUnixFileMode(sandbox.InstancePath(file)) & (UnixFileMode)0x3f);
    }

    [Fact]
    public async Task Nothing_of_the_starter_stays_open_in_it()
    {
        await using Sandbox sandbox = new();
        string held = Path.Combine(sandbox.Home, "held");
        using Process shell = sandbox.Begin(
            "/bin/sh", "-c", "exec 9>\"$1\"; shift; exec \"$@\"", "sh", held, Environment.ProcessPath!,
            "start", "demo", "--disk", sandbox.Disk, "--kernel", sandbox.Kernel, "--detach");
        Assert.Equal(0, (await Sandbox.Finish(shell, "")).ExitCode);
        int pid = await sandbox.Pid();
        string?[] open = [.. Directory.GetFiles($"/proc/{pid}/fd").Select(fd => new FileInfo(fd).LinkTarget)];
        Assert.DoesNotContain(held, open);
        Assert.Contains(sandbox.InstancePath("lock"), open);
    }

    [Fact]
    public async Task A_name_in_use_is_refused()
    {
        await using Sandbox sandbox = new();
        await sandbox.Boot();
        Outcome again = await sandbox.Fake("start", "demo", "--disk", sandbox.Disk, "--kernel", sandbox.Kernel, "--detach");
        Assert.Equal((1, "demo is running already"), (again.ExitCode, again.ErrorLine));
        Assert.Equal("running", (string?)(await sandbox.Status())["state"]);
    }

    [Fact]
    public async Task Of_many_starts_at_once_one_wins()
    {
        await using Sandbox sandbox = new();
        Outcome[] starts = await Task.WhenAll(Enumerable.Range(0, 5).Select(_ =>
            sandbox.Fake("start", "demo", "--disk", sandbox.Disk, "--kernel", sandbox.Kernel, "--detach")));
        Assert.Single(starts, start => start.ExitCode == 0);
        Assert.All(starts.Where(start => start.ExitCode != 0), start => Assert.Equal("demo is running already", start.ErrorLine));
    }

    [Fact]
    public async Task An_instance_that_is_being_made_is_not_taken_for_somebodys_folder()
    {
        await using Sandbox sandbox = new();
        Directory.CreateDirectory(Path.Combine(sandbox.Home, "demo"));
        // As another start leaves it a moment before its configuration has its name.
        using InstanceLock other = InstanceLock.TryAcquire(new InstanceDirectory(Path.Combine(sandbox.Home, "demo")))!;
        await File.WriteAllTextAsync(sandbox.InstancePath("config.json.next"), "", TestContext.Current.CancellationToken);

        Outcome start = await sandbox.Fake("start", "demo", "--disk", sandbox.Disk, "--kernel", sandbox.Kernel, "--detach");
        Assert.Equal((1, "demo is running already"), (start.ExitCode, start.ErrorLine));
    }

    [Theory]
    [InlineData("refuse", 1, "is no kernel"), InlineData("lack", 4, "this host has no time for this")]
    [InlineData("crash", 1, "the process of demo ended while it was starting (exit status 9)")]
    public async Task A_start_that_fails_leaves_nothing_behind(string behaviour, int exitCode, string message)
    {
        await using Sandbox sandbox = new();
        Outcome start = await sandbox.Fake("start", "demo", "--disk", sandbox.Disk, "--kernel", sandbox.Kernel, "--append", behaviour);
        Assert.Contains(message, start.ErrorLine, StringComparison.Ordinal);
        Assert.Equal(exitCode, start.ExitCode);
        Assert.False(Directory.Exists(Path.Combine(sandbox.Home, "demo")));
        await sandbox.Boot();
    }

    [Fact]
    public async Task A_stopped_instance_keeps_what_it_was_when_a_start_fails()
    {
        await using Sandbox sandbox = new();
        await sandbox.Boot("quiet");
        await sandbox.Fake("stop", "demo");
        string before = await File.ReadAllTextAsync(sandbox.InstancePath("config.json"), TestContext.Current.CancellationToken);

        Assert.Equal(1, (await sandbox.Fake("start", "demo", "--append", "refuse")).ExitCode);
        Assert.Equal(1, (await sandbox.Fake("start", "demo", "--kernel", "/none")).ExitCode);
        Outcome otherDisk = await sandbox.Fake("start", "demo", "--disk", sandbox.Kernel);
        Assert.Equal(1, otherDisk.ExitCode);
        Assert.EndsWith("bgkvm delete demo", otherDisk.ErrorLine, StringComparison.Ordinal);

        Assert.Equal(before, await File.ReadAllTextAsync(sandbox.InstancePath("config.json"), TestContext.Current.CancellationToken));
        Assert.Equal(0, (await sandbox.Fake("start", "demo", "--detach", "--cpus", "2")).ExitCode);
        Assert.Equal(2, (int)(await sandbox.Status())["cpus"]!);
    }

    [Fact]
    public async Task A_killed_instance_starts_again()
    {
        await using Sandbox sandbox = new();
        await sandbox.Boot();
        using (Process process = Process.GetProcessById(await sandbox.Pid()))
        {
            process.Kill();
            await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        }

        Assert.True(File.Exists(sandbox.InstancePath("control.sock")));
        Assert.Equal("stopped", (string?)(await sandbox.Status())["state"]);
        Outcome reboot = await sandbox.Fake("reboot", "demo");
        Assert.Equal((1, "demo is not running; start it with bgkvm start demo"), (reboot.ExitCode, reboot.ErrorLine));
        Assert.Equal(0, (await sandbox.Fake("start", "demo", "--detach")).ExitCode);
        Assert.Equal("running", (string?)(await sandbox.Status())["state"]);
    }

    [Theory]
    [InlineData("", "powered off"), InlineData("stubborn", "did not power off; stopping the machine")]
    public async Task SIGTERM_stops_it_the_polite_way_first(string behaviour, string logged)
    {
        await using Sandbox sandbox = new();
        await sandbox.Boot(behaviour);
        int pid = await sandbox.Pid();
        using Process process = Process.GetProcessById(pid);
        using (Process kill = Process.Start("kill", ["-TERM", pid.ToString(provider: null)])) await kill.WaitForExitAsync(TestContext.Current.CancellationToken);
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.Contains(logged, (await sandbox.Fake("logs", "demo")).Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_guest_that_ignores_the_button_is_left_running()
    {
        await using Sandbox sandbox = new();
        await sandbox.Boot("stubborn");
        Outcome stop = await sandbox.Fake("stop", "demo", "--timeout", "1");
        Assert.Equal(1, stop.ExitCode);
        Assert.Equal("the guest in demo did not power off within 1 s and still runs; bgkvm stop --force stops it", stop.ErrorLine);
        Assert.Equal(0, (await sandbox.Fake("stop", "demo", "--force")).ExitCode);
        Assert.Equal("demo is not running; start it with bgkvm start demo", (await sandbox.Fake("stop", "demo")).ErrorLine);
    }

    [Fact]
    public async Task A_broken_machine_ends_the_process_with_a_word_in_the_log()
    {
        await using Sandbox sandbox = new();
        await sandbox.Boot();
        using Process console = sandbox.BeginFake("console", "demo");
        await console.StandardInput.WriteAsync("die");
        await console.StandardInput.FlushAsync(TestContext.Current.CancellationToken);
        await console.WaitForExitAsync(TestContext.Current.CancellationToken); // the instance went away; stdin is still open
        Assert.Contains("The machine broke", (await sandbox.Fake("logs", "demo")).Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Console_in_a_pipe_shows_what_was_and_detaches_at_the_end_of_input()
    {
        await using Sandbox sandbox = new();
        await sandbox.Boot();
        Outcome console = await sandbox.FakeWithInput("uname\r", "console", "demo");
        Assert.Equal(new Outcome(0, "fake boot\r\nlogin: UNAME\r", ""), console);
        Outcome escape = await sandbox.FakeWithInput("a\u001dbb\u001d", "console", "demo");
        Assert.Equal("running", (string?)(await sandbox.Status())["state"]);
        Outcome replay = await sandbox.Fake("console", "demo");
        Assert.Equal("fake boot\r\nlogin: UNAME\rA<BREAK>B", replay.Output);
        Assert.Equal(0, escape.ExitCode);
    }

    [Fact]
    public async Task A_console_that_comes_while_there_are_no_descriptors_is_served_when_there_are()
    {
        await using Sandbox sandbox = new();
        await sandbox.Boot();
        int pid = await sandbox.Pid();
        using Socket first = await AttachAsync(sandbox);
        Assert.Equal("fake boot\r\nlogin: ", await ReadAsync(first, 18));

        LimitDescriptors(pid, "0:");
        using Socket second = await AttachAsync(sandbox);
        // The server sees what happens in the order in which it happens: once it answers the first one it has come to the second.
        foreach (char typed in "abc")
        {
            await first.SendAsync(new[] { (byte)typed });
            Assert.Equal(char.ToUpperInvariant(typed).ToString(), await ReadAsync(first, 1));
        }

        LimitDescriptors(pid, "1024:");
        Assert.Equal("fake boot\r\nlogin: ABC", await ReadAsync(second, 21));
    }

    [Fact]
    public async Task Start_attaches_the_console_and_the_guests_power_off_ends_it()
    {
        await using Sandbox sandbox = new();
        using Process start = sandbox.BeginFake("start", "demo", "--disk", sandbox.Disk, "--kernel", sandbox.Kernel);
        await start.StandardInput.WriteAsync("poweroff\r");
        await start.StandardInput.FlushAsync(TestContext.Current.CancellationToken);
        string output = await start.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        await start.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.Equal((0, "fake boot\r\nlogin: POWEROFF\rPower down\r\n"), (start.ExitCode, output));
    }

    [Theory]
    [InlineData("", 0, "switched"), InlineData("abort", 5, "aborted")]
    public async Task Background_reboot_as_json_is_exactly_the_report(string behaviour, int exitCode, string outcome)
    {
        await using Sandbox sandbox = new();
        await sandbox.Boot(behaviour);
        Outcome reboot = await sandbox.Fake("reboot", "demo", "--background", "--json");
        Assert.Equal(exitCode, reboot.ExitCode);
        JsonObject report = JsonNode.Parse(reboot.Output)!.AsObject();
        Assert.Equal(14, report.Count);
        Assert.Equal(outcome, (string?)report["outcome"]);
        if (exitCode == 0) Assert.Empty(reboot.Error);
        else Assert.Equal("background reboot of demo aborted, it runs on unharmed: the rebooted OS was not ready in time", reboot.ErrorLine);
        Assert.Equal(outcome, (string?)(await sandbox.Status())["lastReboot"]!["outcome"]);
    }

    [Fact]
    public async Task Background_reboot_in_a_pipe_is_plain_lines()
    {
        await using Sandbox sandbox = new();
        await sandbox.Boot();
        Outcome reboot = await sandbox.Fake("reboot", "demo", "--background");
        Assert.Equal("", reboot.Error);
        Assert.Equal(
            """
                0.001 s  preparing
                0.020 s  forking: clone pause 0.4 ms
                0.030 s  new OS boots
            demo runs the rebooted system: down for 2.000 ms in 5.300 s
              clone pause         400 µs
              quiesce             100 µs
              switch pause      1.500 ms
              shutdown        900.000 ms   in the background
              boot               4.200 s   in the background
              discarded          4.0 KiB   written to system disks since the fork

            """, reboot.Output);
        Assert.Equal("demo rebooted in place: down for 2.500 s\n", (await sandbox.Fake("reboot", "demo")).Output.Split("boots\n")[1]);
    }

    [Theory]
    [InlineData("busy", 1, "demo: demo is being rebooted already"), InlineData("fail", 4, "demo: no memory for a shadow")]
    [InlineData("late-fail", 1, "demo: the fork broke")]
    public async Task Refused_reboot_is_one_line(string behaviour, int exitCode, string message)
    {
        await using Sandbox sandbox = new();
        await sandbox.Boot(behaviour);
        Outcome reboot = await sandbox.Fake("reboot", "demo", "--background", "--json");
        Assert.Equal((exitCode, "", message), (reboot.ExitCode, reboot.Output, reboot.ErrorLine));
    }

    [Fact]
    public async Task An_instance_that_dies_under_a_reboot_is_said_to_be_gone()
    {
        await using Sandbox sandbox = new();
        await sandbox.Boot("hold");
        using Process reboot = sandbox.BeginFake("reboot", "demo", "--background");
        Assert.EndsWith("preparing", await reboot.StandardOutput.ReadLineAsync(TestContext.Current.CancellationToken), StringComparison.Ordinal);
        using (Process process = Process.GetProcessById(await sandbox.Pid())) process.Kill();
        Outcome outcome = await Sandbox.Finish(reboot, "");
        Assert.Equal((1, "demo broke off: its process has ended (bgkvm logs demo)"), (outcome.ExitCode, outcome.ErrorLine));
    }

    [Fact]
    public async Task Logs_follow()
    {
        await using Sandbox sandbox = new();
        await sandbox.Boot();
        await File.WriteAllTextAsync(sandbox.InstancePath("console.log"), "one\n", TestContext.Current.CancellationToken);
        using Process logs = sandbox.BeginFake("logs", "demo", "--console", "-f");
        Assert.Equal("one", await logs.StandardOutput.ReadLineAsync(TestContext.Current.CancellationToken));
        await File.AppendAllTextAsync(sandbox.InstancePath("console.log"), "two\n", TestContext.Current.CancellationToken);
        Assert.Equal("two", await logs.StandardOutput.ReadLineAsync(TestContext.Current.CancellationToken));
        logs.StandardOutput.Close();
        await File.AppendAllTextAsync(sandbox.InstancePath("console.log"), "three\n", TestContext.Current.CancellationToken);
        await logs.WaitForExitAsync(TestContext.Current.CancellationToken); // nobody reads it any more
        Assert.Equal((0, ""), (logs.ExitCode, await logs.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken)));
    }

    private static async Task<Socket> AttachAsync(Sandbox sandbox)
    {
        Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(sandbox.InstancePath("console.sock")));
        return socket;
    }

    private static async Task<string> ReadAsync(Socket socket, int count)
    {
        byte[] buffer = new byte[count];
        await using NetworkStream stream = new(socket);
        await stream.ReadExactlyAsync(buffer).AsTask().WaitAsync(s_patience);
        return Encoding.Latin1.GetString(buffer);
    }

    /// <summary>setrlimit of another process: "SOFT:", and the hard limit stays.</summary>
    private static void LimitDescriptors(int pid, string limit)
    {
        using Process prlimit = Process.Start("prlimit", [$"--pid={pid}", $"--nofile={limit}"]);
        prlimit.WaitForExit();
        Assert.Equal(0, prlimit.ExitCode);
    }
}
