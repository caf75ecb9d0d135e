using System.CommandLine;
using System.CommandLine.Help;
using System.Net.Sockets;
using Bgkvm.Commands;
using Bgkvm.Hosting;
using Cloning.Instances;

namespace Bgkvm;

/// <summary>The command line: finds the command, runs it, and turns every failure into one line and an exit code.</summary>
internal static class Cli
{
    /// <summary>Runs one command line.</summary>
    /// <param name="args">What follows the program's name.</param>
    /// <param name="start">How <c>run</c> brings an instance to life.</param>
    /// <returns>The process's exit status, an <see cref="ExitCode"/>.</returns>
    public static int Run(string[] args, InstanceFactory start)
    {
        try
        {
            // No response files: "@x" in a kernel command line is just text.
            ParseResult parsed = CreateRoot(start).Parse(
                args, new ParserConfiguration { ResponseFileTokenReplacer = null, EnablePosixBundling = false });
            if (parsed.Errors.Count > 0) throw new InstanceException(Describe(parsed), ExitCode.Usage);
            return parsed.Invoke(
                new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null });
        }
        catch (InstanceException e)
        {
            Complain(e.Message);
            return e.ExitCode;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or SocketException)
        {
            Complain(e.Message);
            return ExitCode.Failed;
        }
    }

    /// <summary>Says one line on stderr.</summary>
    public static void Complain(string message) => Console.Error.WriteLine($"bgkvm: {message.ReplaceLineEndings(" ")}");

    /// <summary>The tree of commands.</summary>
    internal static RootCommand CreateRoot(InstanceFactory start)
    {
        RootCommand root = new("Runs virtual machines on /dev/kvm and reboots their operating system without the downtime.")
        {
            new StartCommand(start),
            new RebootCommand(),
            new StatusCommand(),
            new ConsoleCommand(),
            new StopCommand(),
            new LogsCommand(),
            new DeleteCommand(),
            new DiskCommand(),
            new DoctorCommand(),
            new SchemaCommand(),
            new VersionCommand(),
            new RunCommand(start),
            new ShadowCommand(),
        };
        HelpOption help = root.Options.OfType<HelpOption>().Single();
        help.Action = new DetailedHelp((HelpAction)help.Action!);
        return root;
    }

    private static string Describe(ParseResult parsed)
    {
        Command command = parsed.CommandResult.Command;
        string help = $"(see {PathOf(command)} --help)";
        if (command.Subcommands.Count == 0) return $"{parsed.Errors[0].Message.TrimEnd('.')} {help}";
        return parsed.UnmatchedTokens is [string unknown, ..]
            ? $"there is no command {(command is RootCommand ? "" : command.Name + " ")}{unknown} {help}"
            : $"say what to do {help}";
    }

    private static string PathOf(Command command) => command is RootCommand ? "bgkvm"
        : $"{PathOf(command.Parents.OfType<Command>().Single())} {command.Name}";
}
