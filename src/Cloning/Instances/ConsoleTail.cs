using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace Cloning.Instances;

/// <summary>What a guest printed last, for a report: lines that are safe to print on a terminal.</summary>
internal static partial class ConsoleTail
{
    private const int MaxLines = 10, MaxChars = 200, LogBytes = 4096;

    /// <summary>The last lines of an output that say something, oldest first; each cut to 200 characters.</summary>
    public static IReadOnlyList<string> Of(string output) =>
        [.. output.Split(['\n', '\r'], StringSplitOptions.RemoveEmptyEntries)
            .Select(Printable).Where(line => line.Length > 0).TakeLast(MaxLines)];

    /// <summary>The same of a console log, for when whoever saw the output can no longer be asked.</summary>
    public static IReadOnlyList<string> OfLog(string path)
    {
        try
        {
            using FileStream log = File.OpenRead(path);
            log.Seek(Math.Max(0, log.Length - LogBytes), SeekOrigin.Begin);
            using StreamReader reader = new(log, Encoding.Latin1);
            return Of(reader.ReadToEnd());
        }
        catch (IOException)
        {
            return [];
        }
    }

    /// <summary>A line without what a terminal would act on.</summary>
    /// <param name="line">Bytes as characters (Latin 1); they are read as UTF-8.</param>
    public static string Printable(string line)
    {
        string text = Encoding.UTF8.GetString(Encoding.Latin1.GetBytes(EscapeSequence().Replace(line, "")));
        text = string.Concat(text.Select(c => IsSafe(c) ? c : ' ')).Trim();
        return text.Length <= MaxChars ? text : text[..MaxChars];
    }

    private static bool IsSafe(char c) => char.GetUnicodeCategory(c)
        is not (UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator);

    /// <summary>ECMA-48: control sequences, colours above all, and device control or system command strings; else the two characters.</summary>
    [GeneratedRegex(@"\x1B(\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1B]*(\x07|\x1B\\)|[ -/]*[0-Z\\^-~])", RegexOptions.CultureInvariant)]
    private static partial Regex EscapeSequence();
}
