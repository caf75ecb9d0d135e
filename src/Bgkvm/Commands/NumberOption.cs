using System.CommandLine;
using System.Globalization;

namespace Bgkvm.Commands;

/// <summary>A whole number within bounds.</summary>
internal sealed class NumberOption : Option<int>
{
    /// <summary>Creates it.</summary>
    public NumberOption(string name, int minimum, int maximum) : base(name) =>
        CustomParser = result =>
        {
            string text = result.Tokens[0].Value;
            if (int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int number)
                && number >= minimum && number <= maximum)
            {
                return number;
            }

            result.AddError($"{name}: '{text}' is not a number from {minimum} to {maximum}");
            return 0;
        };
}
