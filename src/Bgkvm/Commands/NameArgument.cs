using System.CommandLine;
using System.CommandLine.Completions;
using System.Text.RegularExpressions;
using Bgkvm.Hosting;

namespace Bgkvm.Commands;

/// <summary>An instance's name.</summary>
internal sealed partial class NameArgument : Argument<string>
{
    /// <summary>Creates it.</summary>
    public NameArgument() : base("NAME")
    {
        Description = "The instance: a-z, 0-9, _ and -, at most 64 characters.";
        CompletionSources.Add(_ => Instances.Names().Select(name => new CompletionItem(name)));
        Validators.Add(result =>
        {
            if (result.Tokens.Count == 1 && !Valid().IsMatch(result.Tokens[0].Value))
            {
                result.AddError(
                    $"'{result.Tokens[0].Value}' is not a name: a-z, 0-9, _ and -, beginning with a letter or digit, at most 64");
            }
        });
    }

    [GeneratedRegex(@"\A[a-z0-9][a-z0-9_-]{0,63}\z", RegexOptions.CultureInvariant)]
    internal static partial Regex Valid();
}
