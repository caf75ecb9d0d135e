using System.CommandLine;
using System.CommandLine.Parsing;
using System.Text;
using Bgkvm.Config;
using Bgkvm.Consoles;
using Bgkvm.Hosting;
using Cloning.Instances;

namespace Bgkvm.Commands;

/// <summary><c>bgkvm start</c>: boots an instance in a process of its own and shows its console.</summary>
internal sealed class StartCommand : CliCommand
{
    /// <summary>The longest kernel command line.</summary>
    public const int MaximumCommandLineBytes = 2047;

    /// <summary>The most virtual CPUs.</summary>
    public const int MaximumCpus = 32;

    private readonly InstanceFactory _factory;
    private readonly NameArgument _name = new();

    private readonly Option<DiskConfig[]> _disks = new("--disk")
    {
        Description = "System disk, part of what a background reboot forks; may be repeated. Raw unless format=qcow2 is said.",
        HelpName = "PATH[,format=raw|qcow2][,ro]",
        AllowMultipleArgumentsPerToken = false,
        CustomParser = result => ParseDisks(result, persistent: false),
    };

    private readonly Option<DiskConfig[]> _persistent = new("--persistent")
    {
        Description = "Raw disk that background reboots leave alone; may be repeated.",
        HelpName = "PATH[,cache=none]",
        AllowMultipleArgumentsPerToken = false,
        CustomParser = result => ParseDisks(result, persistent: true),
    };

    private readonly Option<string> _kernel = new("--kernel")
    {
        Description = "Linux bzImage or ELF vmlinux; read again at every boot.",
        HelpName = "FILE",
    };

    private readonly Option<string> _firmware = new("--firmware")
    {
        Description = "SeaBIOS image that boots from the first disk; auto is the host's own. Read again at every boot.",
        HelpName = "auto|FILE",
    };

    private readonly Option<string> _initrd = new("--initrd")
    {
        Description = "Initial RAM disk; read again at every boot. An empty FILE takes a stored one back.",
        HelpName = "FILE",
    };

    private readonly Option<string> _append = new("--append")
    {
        Description = "Kernel command line.",
        HelpName = "STRING",
    };

    private readonly Option<int> _memory = new("--memory")
    {
        Description = "Guest memory, such as 512M or 6G (default 512M).",
        HelpName = "SIZE",
        CustomParser = ParseMemory,
    };

    private readonly NumberOption _cpus = new("--cpus", 1, MaximumCpus)
    {
        Description = "Number of virtual CPUs (default 1).",
        HelpName = "N",
    };

    private readonly Option<string> _ready = new("--ready")
    {
        Description = "What the console shows when the OS is up (default login:).",
        HelpName = "REGEX",
    };

    private readonly Option<string> _readyCommand = new("--ready-command")
    {
        Description = "Shell command that succeeds on the host when the OS is up; asked every second, in place of --ready.",
        HelpName = "COMMAND",
    };

    private readonly Option<string> _config = new("--config")
    {
        Description = "Machine file: JSON with all of this in it (bgkvm schema). Options given as well take the place of what it says.",
        HelpName = "FILE",
    };

    private readonly Option<bool> _detach = new("--detach") { Description = "Return as soon as the machine runs." };

    private readonly Option<bool> _foreground = new("--foreground")
    {
        Description = "Be the instance's process: end with the guest. For service managers, which are told when the machine runs.",
    };

    /// <summary>Creates it.</summary>
    /// <param name="factory">How <c>--foreground</c> brings an instance to life.</param>
    public StartCommand(InstanceFactory factory) : base("start", "Boots an instance and shows its console.", """
        Ctrl-] detaches from the console; the instance runs on.
        The guest sees the disks in the order in which --disk and --persistent name them: /dev/vda, /dev/vdb, ...
        A stopped instance starts again by its name alone. Options given then replace what is stored, except for the
        system disks: they belong to the instance until "bgkvm delete NAME". With --config the file says all, and what is
        stored does not count.

        Example:
          bgkvm start demo --disk system.img --persistent data.img --kernel vmlinuz --append "root=/dev/vda console=ttyS0"
          bgkvm start web --disk debian-12.img --firmware auto --memory 1G --detach
          bgkvm start web --config /etc/bgkvm/web.json
        """)
    {
        _factory = factory;
        Add(_name);
        Option[] options = [_disks, _persistent, _kernel, _firmware, _initrd, _append, _memory, _cpus, _ready, _readyCommand, _config, _detach, _foreground];
        foreach (Option option in options) Add(option);
        _append.Validators.Add(AtMost2047Bytes);
        Validators.Add(result =>
        {
            if (result.GetValue(_detach) && result.GetValue(_foreground)) result.AddError("--detach and --foreground exclude each other");
        });
        SetAction((parsed, _) => Execute(parsed));
    }

    private static DiskConfig[]? ParseDisks(ArgumentResult result, bool persistent)
    {
        List<DiskConfig> disks = [];
        foreach (Token token in result.Tokens)
        {
            if (DiskArgument.Parse(token.Value, persistent, out string? error) is { } disk) disks.Add(disk);
            else result.AddError($"{(persistent ? "--persistent" : "--disk")}: {error}");
        }

        return [.. disks];
    }

    private static int ParseMemory(ArgumentResult result)
    {
        if (!MemorySize.TryParse(result.Tokens[0].Value, out int mib))
        {
            result.AddError(
                $"--memory: '{result.Tokens[0].Value}' is not a memory size; write 512M or 6G, at least {MemorySize.MinimumMiB}M");
        }

        return mib;
    }

    private static void AtMost2047Bytes(OptionResult result)
    {
        int bytes = Encoding.UTF8.GetByteCount(result.GetValueOrDefault<string>() ?? "");
        if (bytes > MaximumCommandLineBytes)
            result.AddError($"--append has {bytes} bytes; the kernel takes {MaximumCommandLineBytes}");
    }

    /// <summary>The disks of both options, in the order of the command line.</summary>
    private DiskConfig[]? GivenDisks(ParseResult parsed)
    {
        Queue<DiskConfig> disks = new(parsed.GetValue(_disks) ?? []), persistent = new(parsed.GetValue(_persistent) ?? []);
        if (disks.Count + persistent.Count == 0) return null;
        List<DiskConfig> ordered = [];
        foreach (Token token in parsed.Tokens.Where(token => token.Type == TokenType.Option))
        {
            if (token.Value == _disks.Name) ordered.Add(disks.Dequeue());
            else if (token.Value == _persistent.Name) ordered.Add(persistent.Dequeue());
        }

        return [.. ordered];
    }

    private async Task<int> Execute(ParseResult parsed)
    {
        T? Given<T>(Option<T> option) where T : class => parsed.GetResult(option) is null ? null : parsed.GetValue(option);
        int? GivenNumber(Option<int> option) => parsed.GetResult(option) is null ? null : parsed.GetValue(option);

        StartOptions given = new(
            GivenDisks(parsed),
            Given(_kernel),
            Given(_firmware),
            Given(_initrd),
            Given(_append),
            GivenNumber(_memory),
            GivenNumber(_cpus),
            Given(_ready),
            Given(_readyCommand));
        StartOptions options = Given(_config) is { } file ? MachineFile.Read(file).With(given) : given;
        InstanceDirectory directory = InstanceDirectory.Of(parsed.GetRequiredValue(_name));
        if (parsed.GetValue(_foreground)) return await Launcher.RunAsync(directory, options, _factory);
        int pid = await Launcher.StartAsync(directory, options);
        if (!parsed.GetValue(_detach)) return await ConsoleSession.RunAsync(directory);
        Console.Out.WriteLine($"{directory.Name} started, process {pid}");
        return ExitCode.Done;
    }
}
