namespace Bgkvm.Tests;

/// <summary>Bad input: one clear line on stderr, nothing on stdout, the right exit code, nothing left behind.</summary>
public sealed class CommandLineTests
{
    public static TheoryData<int, string, string[]> BadInput { get; } = new()
    {
        { 2, "say what to do (see bgkvm --help)", [] },
        { 2, "there is no command frob (see bgkvm --help)", ["frob"] },
        { 2, "Required argument 'NAME' missing for command: 'start' (see bgkvm start --help)", ["start"] },
        { 2, "'Demo' is not a name", ["start", "Demo"] },
        { 2, "'../etc' is not a name", ["delete", "../etc"] },
        { 2, "'-x' is not a name", ["stop", "--", "-x"] },
        { 2, "is not a name", ["status", "a123456789a123456789a123456789a123456789a123456789a123456789a1234"] },
        { 2, "'--frob' (see bgkvm start --help)", ["start", "demo", "--frob"] },
        { 3, "there is no instance demo in {home}", ["start", "demo"] },
        { 2, "demo is new: it needs --disk", ["start", "demo", "--kernel", "{kernel}"] },
        { 2, "demo is new: it needs --kernel or --firmware", ["start", "demo", "--disk", "{disk}"] },
        { 2, "--kernel and --firmware exclude each other",
            ["start", "demo", "--disk", "{disk}", "--kernel", "{kernel}", "--firmware", "auto"] },
        { 2, "--append and --initrd are for --kernel",
            ["start", "demo", "--disk", "{disk}", "--firmware", "{kernel}", "--append", "quiet"] },
        { 1, "the firmware {home}/none does not exist", ["start", "demo", "--disk", "{disk}", "--firmware", "{home}/none"] },
        { 2, "Required argument missing for option: '--disk'", ["start", "demo", "--disk"] },
        { 2, "--disk: 'fromat=raw' is no disk option; there are format=raw, format=qcow2 and ro",
            ["start", "demo", "--disk", "{disk},fromat=raw"] },
        { 2, "--disk: ',ro' names no disk", ["start", "demo", "--disk", ",ro"] },
        { 2, "--persistent: 'ro' is no option of a persistent disk; there are cache=none and cache=writeback",
            ["start", "demo", "--disk", "{disk}", "--persistent", "{disk},ro"] },
        { 2, "demo is new: it needs --disk", ["start", "demo", "--persistent", "{disk}", "--kernel", "{kernel}"] },
        { 2, "--memory: '512' is not a memory size; write 512M or 6G", ["start", "demo", "--memory", "512"] },
        { 2, "--memory: '-1G' is not a memory size", ["start", "demo", "--memory", "-1G"] },
        { 2, "--memory: '1.5G' is not a memory size", ["start", "demo", "--memory", "1.5G"] },
        { 2, "--memory: '8M' is not a memory size; write 512M or 6G, at least 16M", ["start", "demo", "--memory", "8M"] },
        { 2, "--memory: '9999999999G' is not a memory size", ["start", "demo", "--memory", "9999999999G"] },
        { 2, "--cpus: '0' is not a number from 1 to 32", ["start", "demo", "--cpus", "0"] },
        { 2, "--cpus: 'two' is not a number from 1 to 32", ["start", "demo", "--cpus", "two"] },
        { 2, "--append has 2048 bytes; the kernel takes 2047", ["start", "demo", "--append", "{2048}"] },
        { 2, "{disk} is given twice", ["start", "demo", "--disk", "{disk}", "--persistent", "{disk}", "--kernel", "{kernel}"] },
        { 2, "{home}/link is given twice", ["start", "demo", "--disk", "{disk}", "--disk", "{home}/link", "--kernel", "{kernel}"] },
        { 2, "The ready pattern '(' is not usable", ["start", "demo", "--disk", "{disk}", "--kernel", "{kernel}", "--ready", "("] },
        { 2, "The ready pattern '(a)\\1' is not usable", ["start", "demo", "--disk", "{disk}", "--kernel", "{kernel}", "--ready", "(a)\\1"] },
        { 2, "The ready pattern is empty", ["start", "demo", "--disk", "{disk}", "--kernel", "{kernel}", "--ready", ""] },
        { 2, "--ready and --ready-command exclude each other",
            ["start", "demo", "--disk", "{disk}", "--kernel", "{kernel}", "--ready", "up", "--ready-command", "true"] },
        { 2, "The ready command is empty", ["start", "demo", "--disk", "{disk}", "--kernel", "{kernel}", "--ready-command", " "] },
        { 2, "--detach and --foreground exclude each other", ["start", "demo", "--detach", "--foreground"] },
        { 1, "the machine file cannot be read: ", ["start", "demo", "--config", "{home}/none"] },
        { 2, "{kernel}: line 1, column 1: this is not JSON: ", ["start", "demo", "--config", "{kernel}"] },
        { 2, "--shutdown-timeout is for --shutdown clean", ["reboot", "demo", "--shutdown", "reset", "--shutdown-timeout", "5"] },
        { 2, "--shutdown-timeout: '0' is not a number from 1 to 86400", ["reboot", "demo", "--shutdown-timeout", "0"] },
        { 1, "the kernel {home}/none does not exist", ["start", "demo", "--disk", "{disk}", "--kernel", "{home}/none"] },
        { 1, "the kernel {home} is a directory", ["start", "demo", "--disk", "{disk}", "--kernel", "{home}"] },
        { 1, "the initrd {home}/none does not exist",
            ["start", "demo", "--disk", "{disk}", "--kernel", "{kernel}", "--initrd", "{home}/none"] },
        { 1, "the disk {home}/none does not exist", ["start", "demo", "--disk", "{home}/none", "--kernel", "{kernel}"] },
        { 1, "the persistent disk {home}/none does not exist",
            ["start", "demo", "--disk", "{disk}", "--kernel", "{kernel}", "--persistent", "{home}/none"] },
        { 4, "8192G of guest memory is more than the host's",
            ["start", "demo", "--disk", "{disk}", "--kernel", "{kernel}", "--memory", "8192G"] },
        { 3, "there is no instance demo in {home}", ["reboot", "demo"] },
        { 3, "there is no instance demo in {home}", ["status", "demo"] },
        { 3, "there is no instance demo in {home}", ["console", "demo"] },
        { 3, "there is no instance demo in {home}", ["stop", "demo"] },
        { 3, "there is no instance demo in {home}", ["logs", "demo"] },
        { 3, "there is no instance demo in {home}", ["delete", "demo"] },
        { 2, "--shutdown: 'softly' is none of clean, reset", ["reboot", "demo", "--shutdown", "softly"] },
        { 2, "--quiesce: '1' is none of auto, sysrq, none", ["reboot", "demo", "--background", "--quiesce", "1"] },
        { 2, "--quiesce is for --background only", ["reboot", "demo", "--quiesce", "none"] },
        { 2, "--keep-discarded is for --background only", ["reboot", "demo", "--keep-discarded"] },
        { 2, "--timeout: '0' is not a number from 1 to 86400", ["reboot", "demo", "--timeout", "0"] },
        { 2, "--timeout: 'x' is not a number from 1 to 86400", ["stop", "demo", "--timeout", "x"] },
        { 2, "--console and --shadow exclude each other", ["logs", "demo", "--console", "--shadow"] },
    };

    [Theory]
    [MemberData(nameof(BadInput))]
    public async Task Bad_input_gets_one_line_and_its_exit_code(int exitCode, string message, string[] args)
    {
        await using Sandbox sandbox = new();
        File.CreateSymbolicLink(Path.Combine(sandbox.Home, "link"), sandbox.Disk);
        string Fill(string text) => text
            .Replace("{home}", sandbox.Home, StringComparison.Ordinal)
            .Replace("{disk}", sandbox.Disk, StringComparison.Ordinal)
            .Replace("{kernel}", sandbox.Kernel, StringComparison.Ordinal)
            .Replace("{2048}", new string('x', 2048), StringComparison.Ordinal);

        Outcome outcome = await sandbox.Real([.. args.Select(Fill)]);

        Assert.Contains(Fill(message), outcome.ErrorLine, StringComparison.Ordinal);
        Assert.Equal(exitCode, outcome.ExitCode);
        Assert.Empty(outcome.Output);
        Assert.Empty(Directory.GetDirectories(sandbox.Home));
    }

    [Fact]
    public async Task Home_too_long_for_a_socket_is_said_before_anything_is_made()
    {
        await using Sandbox sandbox = new();
        string name = new('n', 64);
        string home = Path.Combine(sandbox.Home, new string('d', 40));
        using System.Diagnostics.Process process = sandbox.Begin(
            "/usr/bin/env", $"BGKVM_HOME={home}", Sandbox.RealPath,
            "start", name, "--disk", sandbox.Disk, "--kernel", sandbox.Kernel);

        Outcome outcome = await Sandbox.Finish(process, "");

        Assert.Equal(1, outcome.ExitCode);
        Assert.Contains("Linux allows 107", outcome.ErrorLine, StringComparison.Ordinal);
        Assert.False(Directory.Exists(home));
    }

    [Fact]
    public async Task Unreadable_kernel_is_told_from_a_missing_one()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "an ordinary user is needed beside the one who runs the tests");
        await using Sandbox sandbox = new();
        File.SetUnixFileMode(sandbox.Kernel, UnixFileMode.None);
        File.SetUnixFileMode(sandbox.Home, (UnixFileMode)0x1ff);
        using System.Diagnostics.Process process = sandbox.Begin(
            "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", Sandbox.RealPath,
            "start", "demo", "--disk", sandbox.Disk, "--kernel", sandbox.Kernel);

        Outcome outcome = await Sandbox.Finish(process, "");

        Assert.Equal($"the kernel {sandbox.Kernel} is not readable for you", outcome.ErrorLine);
        Assert.Equal(1, outcome.ExitCode);
    }

    [Fact]
    public async Task Version_says_name_and_number()
    {
        await using Sandbox sandbox = new();
        Outcome outcome = await sandbox.Real("version");
        Assert.Matches(@"\Abgkvm \d+\.\d+\.\d+\n\z", outcome.Output);
        Assert.Equal(0, outcome.ExitCode);
    }

    [Theory]
    [InlineData("start"), InlineData("reboot"), InlineData("status"), InlineData("console"), InlineData("stop")]
    [InlineData("logs"), InlineData("delete"), InlineData("doctor"), InlineData("version"), InlineData("disk")]
    [InlineData("disk create"), InlineData("disk info"), InlineData("disk check"), InlineData("disk flatten")]
    public async Task Help_of_every_command_has_an_example(string command)
    {
        await using Sandbox sandbox = new();
        Outcome outcome = await sandbox.Real([.. command.Split(' '), "--help"]);
        Assert.Equal(0, outcome.ExitCode);
        Assert.Contains($"Example:\n  bgkvm {command}", outcome.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Hidden_commands_are_not_listed()
    {
        await using Sandbox sandbox = new();
        string[] listed = [.. (await sandbox.Real("--help")).Output.Split("Commands:")[1]
            .Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => line.Trim().Split(' ')[0])];
        Assert.Equal(["start", "reboot", "status", "console", "stop", "logs", "delete", "disk", "doctor", "schema", "version"], listed);
    }

    [Fact]
    public async Task No_instances_is_an_empty_list()
    {
        await using Sandbox sandbox = new();
        Assert.Equal("[]\n", (await sandbox.Real("status", "--json")).Output);
        Assert.Equal("", (await sandbox.Real("status")).Output);
    }
}
