using System.Globalization;
using System.Net.Sockets;
using System.Text.Json;
using System.Text.RegularExpressions;
using Xunit;

namespace Os.Tests.Driver;

/// <summary>
/// One instance of the real executable, with a home of its own, driven by its commands alone. Kernel and persistent disk
/// are copies; the system disk is shared by all tests, since bgkvm never writes it.
/// </summary>
internal sealed class Instance : IDisposable
{
    public const string Name = "vm";

    private static readonly JsonSerializerOptions s_json =
        new(JsonSerializerDefaults.Web) { RespectRequiredConstructorParameters = true, RespectNullableAnnotations = true };

    private readonly string _folder, _executable;
    private int _lastPid;

    /// <summary>Prepares one.</summary>
    /// <param name="executable">The program; null for bgkvm itself.</param>
    /// <param name="owner">Whose its files are; null for this process's user.</param>
    public Instance(string? executable = null, int? owner = null)
    {
        _executable = executable ?? Executable;
        _folder = Directory.CreateTempSubdirectory("bgkvm-os-").FullName;
        Command.Run("cp", "--sparse=always", Images.PersistentDisk, PersistentDisk);
        InstallKernel("6.1");
        if (owner is { } user) Command.Run("chown", "-R", user.ToString(CultureInfo.InvariantCulture), _folder);
    }

    /// <summary>The kernel that the instance boots, at a path that stays.</summary>
    public string Kernel => In("vmlinuz");
    public string Initrd => In("initrd");
    public string PersistentDisk => In("data.img");
    /// <summary>The instance's own directory.</summary>
    public string Home => Path.Combine(In("home"), Name);

    /// <summary>The layer files there are, in the order they were made.</summary>
    public string[] Layers => [.. Directory.EnumerateFiles(Path.Combine(Home, "layers")).Order(StringComparer.Ordinal)];

    private static string Executable => Environment.GetEnvironmentVariable("BGKVM_EXE") is { Length: > 0 } given ? given : "bgkvm";

    /// <summary>Puts another kernel, and its initrd, in the place of the present one, as a package manager does.</summary>
    public void InstallKernel(string series, bool elf = false)
    {
        Replace(Kernel, elf ? Images.ElfKernel(series) : Images.Kernel(series));
        Replace(Initrd, Images.Initrd(series));
    }

    /// <summary>Puts a file in the place of another in one step.</summary>
    public static void Replace(string path, string content)
    {
        File.Copy(content, path + ".new", overwrite: true);
        File.Move(path + ".new", path, overwrite: true);
    }

    /// <summary>Runs a bgkvm command to its end.</summary>
    public CommandResult Run(params string[] arguments)
    {
        using Command command = Begin(arguments);
        return command.WaitForExit(Limits.Reboot);
    }

    /// <summary>Starts a bgkvm command.</summary>
    public Command Begin(params string[] arguments) => Command.Start(_executable, arguments, ("BGKVM_HOME", In("home")));

    /// <summary>
    /// In a mount namespace, a folder and a home of their own: runs what makes a situation, then a command, and force-stops
    /// what instances there are. $system, $kernel and $data are good files.
    /// </summary>
    /// <returns>How the command ended. An instance "other" has left something behind: 98; the situation did not come about: 99.</returns>
    public CommandResult Shell(string situation, string command)
    {
        string script = $$"""
            mount --make-rprivate /
            mkdir shell shell/home && cd shell && export BGKVM_HOME=$PWD/home || exit 99
            (set -e; {{situation}}) >situation.log 2>&1
            if [ $? -ne 0 ]; then cat situation.log >&2; exit 99; fi
            {{command}}
            status=$?
            if [ -e "$BGKVM_HOME/other" ]; then status=98; fi
            if [ -e "$BGKVM_HOME/one/lock" ]; then bgkvm stop one --force >/dev/null 2>&1; fi
            exit $status
            """;
        using Command shell = Command.Start(
            "unshare", ["--mount", "--wd", _folder, "bash", "-c", script],
            ("system", Images.SystemDisk), ("kernel", Kernel), ("data", PersistentDisk));
        return shell.WaitForExit(Limits.Reboot);
    }

    /// <summary>Runs a bgkvm command that must succeed.</summary>
    /// <returns>What it printed.</returns>
    public string Do(params string[] arguments)
    {
        CommandResult result = Run(arguments);
        Assert.True(
            result.ExitCode == 0, $"bgkvm {string.Join(' ', arguments)} ended with {result.ExitCode}: {result.Errors}{result.Output}");
        return result.Output;
    }

    /// <summary>Starts the instance for the first time, and sits down at its console.</summary>
    /// <param name="memory">Guest memory.</param>
    /// <param name="cpus">vCPUs.</param>
    /// <param name="append">What is added to the demo's kernel command line.</param>
    /// <param name="persistentFirst">Whether the guest sees the persistent disk before the system disk.</param>
    /// <param name="more">Further options.</param>
    public Guest Start(
        string memory = "128M", int cpus = 1, string append = "", bool persistentFirst = false, params string[] more)
    {
        string[] system = ["--disk", $"{Images.SystemDisk},format=raw"], persistent = ["--persistent", PersistentDisk];
        string[] disks = persistentFirst ? [.. persistent, .. system] : [.. system, .. persistent];
        StartDetached(
            [.. disks, "--kernel", Kernel, "--initrd", Initrd, "--append", $"{Images.CommandLine} {append}".Trim(),
            "--memory", memory, "--cpus", cpus.ToString(CultureInfo.InvariantCulture), .. more]);
        return Attach();
    }

    /// <summary>Starts the instance for the first time, from a disk with a boot loader and two kernels.</summary>
    public Guest StartFromFirmware(int cpus)
    {
        StartDetached(
            "--disk", $"{Images.BootableDisk},format=raw", "--persistent", PersistentDisk, "--firmware", Images.Firmware,
            "--memory", "192M", "--cpus", cpus.ToString(CultureInfo.InvariantCulture));
        return Attach();
    }

    /// <summary>Starts Debian's network installer as it comes, with the persistent disk as the one to install on.</summary>
    public Guest StartInstaller()
    {
        StartDetached(
            "--disk", $"{PersistentDisk},format=raw", "--kernel", Images.InstallerKernel, "--initrd", Images.InstallerInitrd,
            "--append", "console=ttyS0 --- quiet", "--memory", "1G");
        return Attach();
    }

    /// <summary>Starts it again by its name, and sits down at its console.</summary>
    public Guest StartAgain()
    {
        StartDetached();
        return Attach();
    }

    /// <summary>Sits down at the console, by its socket.</summary>
    public Guest Attach()
    {
        Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        socket.Connect(new UnixDomainSocketEndPoint(Path.Combine(Home, "console.sock")));
        NetworkStream stream = new(socket, ownsSocket: true);
        return new Guest(stream, stream);
    }

    /// <summary>Sits down at the console, by the command in pipes.</summary>
    public ConsoleProcess AttachByCommand() => new(_executable, In("home"));

    public InstanceView Status() => Parse<InstanceView>(Do("status", Name, "--json"));

    /// <summary>Makes a disk without content.</summary>
    /// <returns>Its path.</returns>
    public string MakeDisk(string name, long bytes)
    {
        using FileStream file = new(In(name), FileMode.CreateNew);
        file.SetLength(bytes);
        return file.Name;
    }

    /// <summary>Starts a background reboot that prints its phases.</summary>
    public Command BeginReboot(params string[] options) =>
        Begin(["reboot", Name, "--background", "--timeout", "200", .. options]);

    /// <summary>Runs a background reboot that must succeed.</summary>
    public RebootView Reboot() => Parse<RebootView>(Do("reboot", Name, "--background", "--timeout", "200", "--json"));

    /// <summary>Presses the power button and waits for the end.</summary>
    public void Stop()
    {
        Do("stop", Name);
        Processes.WaitGone(_lastPid);
    }

    /// <summary>kill -9 of the instance's process.</summary>
    public void Kill() => Processes.Kill(_lastPid);

    /// <summary>Waits until the instance's process has ended by itself.</summary>
    public void WaitGone() => Processes.WaitGone(_lastPid);

    /// <summary>The end of everything that tells what went on.</summary>
    public string Tails()
    {
        string[] logs = ["console.log", "shadow.log", "bgkvm.log"];
        return string.Join('\n', logs.Select(log => $"--- {log}:\n{Tail(Path.Combine(Home, log))}"));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_lastPid != 0 && Processes.Exists(_lastPid)) Kill();
        Directory.Delete(_folder, recursive: true);
    }

    public static T Parse<T>(string json) => JsonSerializer.Deserialize<T>(json, s_json)!;

    private void StartDetached(params string[] options)
    {
        string said = Do(["start", Name, .. options, "--detach"]);
        _lastPid = int.Parse(Regex.Match(said, "process ([0-9]+)").Groups[1].ValueSpan, CultureInfo.InvariantCulture);
    }

    private static string Tail(string path)
    {
        if (!File.Exists(path)) return "(none)";
        string text = File.ReadAllText(path);
        return text.Length <= 3000 ? text : text[^3000..];
    }

    private string In(string file) => Path.Combine(_folder, file);
}
