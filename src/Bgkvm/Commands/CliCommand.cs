using System.CommandLine;

namespace Bgkvm.Commands;

/// <summary>A command with more to say than its summary.</summary>
/// <param name="name">What the user types.</param>
/// <param name="summary">One line, for the list of commands.</param>
/// <param name="details">More, and an example: printed below the options by <c>--help</c>.</param>
internal abstract class CliCommand(string name, string summary, string details) : Command(name, summary)
{
    /// <summary>What <c>--help</c> adds.</summary>
    public string Details { get; } = details;
}
