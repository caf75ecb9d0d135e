using System.CommandLine;

namespace Bgkvm.Commands;

/// <summary>One of a few words: the names of an enum, in lower case. The enum's zero is the default.</summary>
internal sealed class ChoiceOption<T> : Option<T> where T : struct, Enum
{
    /// <summary>Creates it.</summary>
    public ChoiceOption(string name) : base(name)
    {
        string[] words = [.. Enum.GetNames<T>().Select(word => word.ToLowerInvariant())];
        HelpName = string.Join('|', words);
        // The library's own are the enum's names, with capitals.
        CompletionSources.Clear();
        CompletionSources.Add(words);
        CustomParser = result =>
        {
            int choice = Array.IndexOf(words, result.Tokens[0].Value);
            if (choice >= 0) return Enum.GetValues<T>()[choice];
            result.AddError($"{name}: '{result.Tokens[0].Value}' is none of {string.Join(", ", words)}");
            return default;
        };
    }
}
