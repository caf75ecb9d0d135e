using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;

namespace Bgkvm.Commands;

/// <summary>The library's help, with a command's details and example below it.</summary>
internal sealed class DetailedHelp(HelpAction inner) : SynchronousCommandLineAction
{
    /// <inheritdoc/>
    public override bool ClearsParseErrors => true;

    /// <inheritdoc/>
    public override int Invoke(ParseResult parseResult)
    {
        int result = inner.Invoke(parseResult);
        if (parseResult.CommandResult.Command is CliCommand command)
            parseResult.InvocationConfiguration.Output.WriteLine(command.Details);
        return result;
    }
}
